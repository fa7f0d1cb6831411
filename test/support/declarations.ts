import { existsSync, readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { parseSync } from '@swc/core'

/** What one emitted declaration file declares, and where the other names in it come from. */
interface DeclarationFile {
  readonly path: string
  /** Declarations by name, as swc's nodes. */
  readonly own: Map<string, unknown>
  /** Imported and re-exported names: the file or package, and the name there. */
  readonly from: Map<string, readonly [source: string, name: string]>
  /** Exported names that have another name inside; files of `export *`. */
  readonly exported: Map<string, string>
  readonly all: string[]
}

// swc's tree is walked without its types.
type Node = any

const files = new Map<string, DeclarationFile>()

/** The declaration file that a relative import names; a package's name stays as it is. */
const sourceOf = (path: string, source: string): string =>
  source.startsWith('.') ? resolve(dirname(path), source.replace(/\.js$/, '.d.ts')) : source

function addDeclaration(file: DeclarationFile, node: Node): void {
  if (node.type === 'VariableDeclaration') for (const one of node.declarations) file.own.set(one.id.value, one)
  else if (node.id ?? node.identifier) file.own.set((node.id ?? node.identifier).value, node)
}

function readDeclarations(path: string): DeclarationFile {
  const known = files.get(path)
  if (known) return known
  const file: DeclarationFile = { path, own: new Map(), from: new Map(), exported: new Map(), all: [] }
  files.set(path, file)
  for (const node of parseSync(readFileSync(path, 'utf8'), { syntax: 'typescript' }).body as Node[]) {
    if (node.type === 'ImportDeclaration') {
      for (const one of node.specifiers)
        file.from.set(one.local.value, [sourceOf(path, node.source.value), one.imported?.value ?? one.local.value])
    } else if (node.type === 'ExportAllDeclaration') file.all.push(sourceOf(path, node.source.value))
    else if (node.type === 'ExportNamedDeclaration')
      for (const { orig, exported } of node.specifiers) {
        const name = (exported ?? orig).value
        if (node.source) file.from.set(name, [sourceOf(path, node.source.value), orig.value])
        file.exported.set(name, node.source ? name : orig.value)
      }
    else if (node.type === 'ExportDeclaration') {
      const before = new Set(file.own.keys())
      addDeclaration(file, node.declaration)
      for (const name of file.own.keys()) if (!before.has(name)) file.exported.set(name, name)
    } else addDeclaration(file, node)
  }
  return file
}

/** Where a name of a file is declared: `path#name`, or `package#name`; undefined for generics and the language's own. */
function declared(path: string, name: string): string | undefined {
  const file = readDeclarations(path)
  const inside = file.exported.get(name) ?? name
  if (file.own.has(inside)) return `${path}#${inside}`
  const origin = file.from.get(inside)
  if (origin) return existsSync(origin[0]) ? declared(origin[0], origin[1]) : origin.join('#')
  return file.all.map((one) => declared(one, name)).find((found) => found !== undefined)
}

/** Every name that a file exports, by where it is declared. */
function exportsOf(path: string): Map<string, string> {
  const { exported, all } = readDeclarations(path)
  const own = [...exported.keys()].map((name) => [declared(path, name) ?? name, name] as const)
  return new Map([...all.flatMap((one) => [...exportsOf(one)]), ...own])
}

/** Type names in a declaration. What `typeof value` asks for is no name that a user could import. */
function namedTypes(node: Node, found = new Set<string>()): Set<string> {
  if (node === null || typeof node !== 'object' || node.type === 'TsTypeQuery') return found
  const name = node.type === 'TsTypeReference' ? node.typeName : undefined
  const head = name?.left ?? name ?? (node.type === 'TsExpressionWithTypeArguments' ? node.expression : undefined)
  if (head?.type === 'Identifier') found.add(head.value)
  for (const child of Object.values(node)) namedTypes(child, found)
  return found
}

/**
 * Type names in what `path` (a .d.ts) exports that `path` itself does not export.
 *
 * @returns `user → name`, and `user → package#name` for types of a package
 */
export function missingTypes(path: string): string[] {
  const exported = exportsOf(path)
  return [...exported].flatMap(([place, user]) => {
    const [file, name] = place.split('#') as [string, string]
    if (!existsSync(file)) return [`${user} → ${place}`]
    return [...namedTypes(readDeclarations(file).own.get(name))].flatMap((type) => {
      const there = declared(file, type)
      if (there === undefined || exported.has(there)) return []
      return [`${user} → ${existsSync(there.split('#')[0]!) ? there.split('#')[1] : there}`]
    })
  })
}

/** Functions that `path` (a .d.ts) exports whose comment shows no `@example`. */
export function withoutExample(path: string): string[] {
  return [...exportsOf(path)].flatMap(([place, user]) => {
    const [file, name] = place.split('#') as [string, string]
    const text = readFileSync(file, 'utf8')
    const start = text.search(new RegExp(`export declare (async )?(function ${name}\\b|const ${name}: .*=>)`))
    if (start < 0) return []
    const comment = /\/\*\*(?:(?!\*\/)[\s\S])*\*\/\s*$/.exec(text.slice(0, start))?.[0] ?? ''
    return comment.includes('@example') ? [] : [user]
  })
}
