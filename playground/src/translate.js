// GraphiQL's own panels know English only. These are the few words of theirs that
// are not the schema's.
const words = {
  Docs: '文档', 'Root Types': '根类型', 'All Schema Types': '全部类型', Fields: '字段', Field: '字段', Arguments: '参数', Argument: '参数', Type: '类型',
  'Enum Values': '枚举值', 'Possible Types': '可能的类型', Implements: '实现', 'Other results': '其他结果', 'No results found': '没有结果',
  'A GraphQL schema provides a root type for each kind of operation.': '每一类操作对应一个根类型。',
  History: '历史', Clear: '清空', Cleared: '已清空', 'Failed to Clear': '清空失败', Save: '保存',
  Explorer: '字段浏览器', 'Add new': '新建', Query: '查询', Mutation: '变更',
}

// A name of the schema or something typed is not a word.
const names = 'a, input, textarea, [class*=name], .monaco-editor, .graphiql-markdown-description'

// translate puts Chinese in the place of GraphiQL's words below an element, also
// of those to come, until the function that it returns is called.
export function translate(element) {
  const work = () => {
    const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT)
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const text = node.data.trim()
      const word = words[text]
      if (word && !node.parentElement.closest(names)) node.data = node.data.replace(text, word)
    }
  }
  work()
  const observer = new MutationObserver(work)
  observer.observe(element, { childList: true, characterData: true, subtree: true })
  return () => observer.disconnect()
}
