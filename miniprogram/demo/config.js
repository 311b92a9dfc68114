module.exports = {
  // miniprofile 的地址。真机上必须是 https，并且在小程序后台的 request、uploadFile、downloadFile 合法域名里。
  url: 'http://127.0.0.1:8080/graphql',
  // 沙箱里扮演谁：a-z A-Z 0-9 _ -。接入真正的微信时改成空字符串。
  sandboxPerson: 'xiaoming',
  // 《用户隐私保护指引》的版本，和用户的同意一起留存。指引一改，这里必须跟着改：用户下次提供资料时会再看到提示。
  policyVersion: '2026-11',
  // 收集每一项资料的目的，要和指引一致。用户看到的、留存的都是这里的文字。
  purposes: { AVATAR: '展示在您的资料中', NICKNAME: '用来称呼您', PHONE: '绑定到您的账号' },
};
