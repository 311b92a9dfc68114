// Writes client/lib/schema.d.ts from schema.graphqls and the client's own operations, which it checks on the way, and
// copies the client into the demo.
// With --check it writes nothing and fails where the file is not as it would write it.
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import {
  GraphQLEnumType, GraphQLInputObjectType, GraphQLObjectType, GraphQLScalarType,
  buildASTSchema, extendSchema, getNamedType, isListType, isNonNullType, isRequiredInputField, parse, validate,
} from 'graphql';

const at = (/** @type {string} */ path) => new URL(path, import.meta.url);
const require = createRequire(import.meta.url);
const { documents } = require('./client/lib/index.js');

/** How scalars are written in TypeScript. */
const scalars = { ID: 'string', String: 'string', Int: 'number', Float: 'number', Boolean: 'boolean', Time: 'string', JSON: 'Record<string, unknown>', Upload: 'string' };

const schema = readSchema();
const out = ['// Generated from schema.graphqls by generate.mjs. Do not edit.'];
for (const type of Object.values(schema.getTypeMap())) {
  if (type.name.startsWith('__') || type instanceof GraphQLScalarType || type === schema.getQueryType() || type === schema.getMutationType()) continue;
  describe(type.description, '');
  if (type instanceof GraphQLEnumType) {
    out.push(`export type ${type.name} = ${type.getValues().map((v) => `'${v.name}'`).join(' | ')};`);
  } else {
    out.push(`export interface ${type.name} {`);
    for (const field of Object.values(type.getFields())) {
      describe(field.description, '  ');
      out.push(`  ${field.name}${type instanceof GraphQLInputObjectType && !isRequiredInputField(/** @type {any} */ (field)) ? '?' : ''}: ${typeOf(field.type)};`);
    }
    out.push('}');
  }
  out.push('');
}

for (const [name, text] of Object.entries({ ...documents, ...require('./demo/operations.js') })) {
  const document = parse(text);
  const errors = validate(schema, document);
  if (errors.length) throw new Error(`${name}: ${errors.map((e) => e.message).join('; ')}`);
  if (!documents[name]) continue; // the demo's: they only have to be right
  for (const definition of document.definitions) {
    if (definition.kind !== 'OperationDefinition') throw new Error('fragments are not used here');
    const root = definition.operation === 'query' ? schema.getQueryType() : schema.getMutationType();
    out.push(`/** The data of the operation ${name}. */`);
    out.push(`export type ${name[0].toUpperCase()}${name.slice(1)}Result = ${selection(root, definition.selectionSet, '')};`, '');
  }
}
const results = Object.keys(documents).map((name) => `  ${name}: ${name[0].toUpperCase()}${name.slice(1)}Result;`);
out.push('/** The data of the client\'s operations, by their names. */', 'export interface Results {', ...results, '}', '');
out.push('/** What the client asks of a user. */', "export type Profile = NonNullable<MeResult['me']>;", '');

const text = out.join('\n');
const file = at('client/lib/schema.d.ts');
if (!process.argv.includes('--check')) {
  writeFileSync(file, text);
  for (const name of ['index.js', 'index.d.ts', 'schema.d.ts']) copyFileSync(at(`client/lib/${name}`), at(`demo/miniprofile/${name}`));
} else if (!existsSync(file) || readFileSync(file, 'utf8') !== text) {
  console.error('client/lib/schema.d.ts is not as schema.graphqls says: npm run generate');
  process.exit(1);
}

/** schema.graphqls with what is still to come. */
function readSchema() {
  const base = buildASTSchema(parse(readFileSync(at('../schema.graphqls'), 'utf8')));
  if (!existsSync(at('ahead.graphqls'))) return base;
  const ahead = parse(readFileSync(at('ahead.graphqls'), 'utf8'));
  const definitions = [];
  for (const d of ahead.definitions) {
    if (d.kind === 'ObjectTypeExtension' || d.kind === 'InputObjectTypeExtension') {
      const there = /** @type {GraphQLObjectType} */ (base.getType(d.name.value)).getFields();
      const fields = /** @type {import('graphql').FieldDefinitionNode[]} */ (d.fields).filter((f) => !there[f.name.value]);
      if (fields.length) definitions.push({ ...d, fields });
    } else if ('name' in d && d.name && !base.getType(d.name.value)) {
      definitions.push(d);
    }
  }
  if (!definitions.length) console.error('ahead.graphqls is no longer needed: remove it');
  return definitions.length ? extendSchema(base, { kind: 'Document', definitions: /** @type {any} */ (definitions) }) : base;
}

/** @param {string | null | undefined} text @param {string} indent */
function describe(text, indent) {
  if (!text) return;
  const lines = text.split('\n');
  if (lines.length === 1) out.push(`${indent}/** ${text} */`);
  else out.push(`${indent}/**`, ...lines.map((l) => `${indent} * ${l}`.trimEnd()), `${indent} */`);
}

/** @param {any} type @param {(named: any) => string} [named] @returns {string} */
function typeOf(type, named = (t) => (t instanceof GraphQLScalarType ? /** @type {any} */ (scalars)[t.name] : t.name)) {
  const nullable = !isNonNullType(type);
  const inner = nullable ? type : type.ofType;
  const text = isListType(inner) ? `Array<${typeOf(inner.ofType, named)}>` : named(getNamedType(inner));
  return nullable ? `${text} | null` : text;
}

/** @param {any} type @param {import('graphql').SelectionSetNode} set @param {string} indent @returns {string} */
function selection(type, set, indent) {
  const fields = set.selections.map((s) => {
    if (s.kind !== 'Field') throw new Error('fragments are not used here');
    const inner = s.selectionSet;
    const text = typeOf(type.getFields()[s.name.value].type, inner ? (t) => selection(t, inner, indent + '  ') : undefined);
    return `${indent}  ${(s.alias || s.name).value}: ${text};`;
  });
  return `{\n${fields.join('\n')}\n${indent}}`;
}
