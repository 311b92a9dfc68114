module.exports = {
  // miniprofile 的地址。真机上必须是 https，并且在小程序后台的 request、uploadFile、downloadFile 合法域名里。
  url: 'http://127.0.0.1:8080/graphql',
  // 沙箱里扮演谁：a-z A-Z 0-9 _ -。接入真正的微信时改成空字符串。
  sandboxPerson: 'xiaoming',
  // 隐私政策的版本，和征得同意的时间一起留存。
  policyVersion: '2026-11',
};
