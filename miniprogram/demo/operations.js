// 客户端自带的之外，演示还用到的操作。
module.exports = {
  sessions: 'query sessions { me { sessions { id current device seenAt } } }',
  phone: 'query phone { me { phone { number } } }',
  export: 'query export { me { export } }',
  deleteAccount: 'mutation deleteAccount($input: DeleteAccountInput!) { deleteAccount(input: $input) { erasedAt } }',
};
