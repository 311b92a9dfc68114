const consents = 'consents { scope purpose grantedAt withdrawnAt }';

// 客户端自带的之外，演示还用到的操作。
module.exports = {
  sessions: 'query sessions { me { sessions { id current device seenAt } } }',
  phone: 'query phone { me { phone { number } } }',
  export: 'query export { me { export } }',
  consents: `query consents { me { ${consents} } }`,
  withdrawConsent: `mutation withdrawConsent($input: WithdrawConsentInput!) { withdrawConsent(input: $input) { user { ${consents} } } }`,
  deleteAccount: 'mutation deleteAccount($input: DeleteAccountInput!) { deleteAccount(input: $input) { erasedAt } }',
};
