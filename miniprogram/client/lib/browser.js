'use strict';
// The platform of a browser, for createClient({ url, platform: createPlatform({ code }) }).

/** @type {typeof import('./browser').createPlatform} */
function createPlatform({ code }) {
  /** @type {Map<string, Blob>} */
  const files = new Map();

  /** @param {any} options @param {any} body @param {boolean} upload */
  function send(options, body, upload) {
    const x = new XMLHttpRequest();
    x.open(options.method || 'POST', options.url);
    x.timeout = options.timeout || 0;
    for (const name of Object.keys(options.header || {})) x.setRequestHeader(name, options.header[name]);
    x.onload = () => {
      /** @type {Record<string, string>} */
      const header = {};
      for (const line of x.getAllResponseHeaders().trim().split(/[\r\n]+/)) header[line.split(':')[0]] = line.slice(line.indexOf(':') + 1).trim();
      options.success({ statusCode: x.status, header, data: x.responseText });
    };
    // Of a bucket that allows no such page a browser says no more than of a network that is gone. The client takes the
    // way through the server then.
    const elsewhere = upload && new URL(options.url, location.href).origin !== location.origin;
    x.onerror = () => options.fail({ errMsg: elsewhere ? 'request:fail, or the domain allows no such page' : 'request:fail' });
    x.ontimeout = () => options.fail({ errMsg: 'request:fail timeout' });
    x.onabort = () => options.fail({ errMsg: 'request:fail abort' });
    /** @type {((p: object) => void) | undefined} */
    let listener;
    if (upload) { // a listener makes browsers ask the bucket first whether it is allowed
      x.upload.onprogress = (e) => {
        if (listener) listener({ progress: Math.round(100 * e.loaded / e.total), totalBytesSent: e.loaded, totalBytesExpectedToSend: e.total });
      };
    }
    x.send(body);
    return { abort: () => x.abort(), onProgressUpdate: (/** @type {(p: object) => void} */ f) => { listener = f; } };
  }

  return {
    addFile(file) {
      const path = `file:${files.size}`;
      files.set(path, file);
      return path;
    },
    request: (options) => send(options, options.data, false),
    uploadFile(options) {
      const form = new FormData();
      for (const name of Object.keys(options.formData)) form.append(name, options.formData[name]);
      form.append(options.name, /** @type {Blob} */ (files.get(options.filePath)), 'picture');
      return send(options, form, true);
    },
    login({ success, fail }) {
      code().then((value) => success({ code: value }), (e) => fail({ errMsg: String(e) }));
    },
    getStorageSync: (key) => localStorage.getItem(key) || '',
    setStorageSync: (key, value) => localStorage.setItem(key, value),
    removeStorageSync: (key) => localStorage.removeItem(key),
    getImageInfo({ src, success, fail }) {
      const file = files.get(src);
      if (file) success({ type: file.type.replace('image/', '') });
      else fail({ errMsg: 'getImageInfo:fail no such file' });
    },
    getFileSystemManager: () => ({
      getFileInfo: (/** @type {any} */ { filePath, success }) => success({ size: /** @type {Blob} */ (files.get(filePath)).size }),
    }),
  };
}

module.exports = { createPlatform };
