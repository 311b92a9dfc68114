// What a GraphQL document says.
import { getNamedType, isInputObjectType, parse, typeFromAST } from 'graphql'

// operationOf returns the operation of that name, or the first; undefined where
// the text is no document.
export function operationOf(text, name) {
  let document
  try {
    document = parse(text, { noLocation: true })
  } catch {
    return undefined
  }
  const operations = document.definitions.filter((d) => d.kind === 'OperationDefinition')
  return operations.find((o) => o.name?.value === name) ?? operations[0]
}

// fieldsOf returns the names of an operation's root fields, without those in fragments.
export function fieldsOf(operation) {
  return operation.selectionSet.selections.filter((s) => s.kind === 'Field').map((s) => s.name.value)
}

// uploadsOf returns where an operation's variables take files, as variables.input.avatar.
export function uploadsOf(schema, operation) {
  const paths = []
  const walk = (type, path, depth) => {
    const named = getNamedType(type)
    if (named?.name === 'Upload') paths.push(path)
    else if (isInputObjectType(named) && depth < 3) {
      for (const field of Object.values(named.getFields())) walk(field.type, `${path}.${field.name}`, depth + 1)
    }
  }
  for (const { variable, type } of operation?.variableDefinitions ?? []) {
    walk(typeFromAST(schema, type), `variables.${variable.name.value}`, 0)
  }
  return paths
}

// holds tells whether variables have something at a path; null counts.
export function holds(variables, path) {
  let value = { variables }
  for (const name of path.split('.')) {
    if (value === null || typeof value !== 'object' || !(name in value)) return false
    value = value[name]
  }
  return true
}

// withNull returns variables with null at a path, where a file will go.
export function withNull(variables, path) {
  const [, ...names] = path.split('.')
  const put = (value, [name, ...rest]) => ({ ...value, [name]: rest.length ? put(value?.[name], rest) : null })
  return put(variables, names)
}
