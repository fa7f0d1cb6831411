import { readFileSync } from 'node:fs'

/** What docs/json.md says of a command's document. */
interface Described {
  readonly block: unknown
  /** Fields of the short documents in its sentences: what other options print in its place. */
  readonly others: readonly (readonly string[])[]
}

/** By the command in the heading. */
function documents(): Map<string, Described> {
  const text = readFileSync(new URL('../../docs/json.md', import.meta.url), 'utf8')
  const found = new Map<string, Described>()
  for (const part of text.split(/^## fc7 /m).slice(1)) {
    const name = part.slice(0, part.indexOf('\n'))
    const block = /^```json\n([\s\S]*?)^```/m.exec(part)?.[1]
    const others = Array.from(part.matchAll(/`(\{ [^`]* \})`/g), ([, short]) =>
      Array.from(short!.matchAll(/"(\w+)":/g), ([, field]) => field!),
    )
    if (block) found.set(name, { block: JSON.parse(block), others })
  }
  return found
}

const known = documents()

function missing(value: unknown, documented: unknown, path: string): string[] {
  if (value === null || documented === null) return []
  if (Array.isArray(value)) {
    if (!Array.isArray(documented)) return [`${path} is a list`]
    return documented.length === 0 ? [] : value.flatMap((one) => missing(one, documented[0], `${path}[]`))
  }
  if (typeof value !== 'object') return typeof documented === 'object' ? [`${path} is a ${typeof value}`] : []
  if (typeof documented !== 'object' || Array.isArray(documented)) return [`${path} is an object`]
  const fields = documented as Record<string, unknown>
  return Object.entries(value).flatMap(([name, inner]) => {
    if ('…' in fields) return []
    return name in fields ? missing(inner, fields[name], `${path}.${name}`) : [`${path}.${name}`]
  })
}

/**
 * What a command's document holds that docs/json.md does not tell of; nothing for commands that it refers elsewhere
 * for.
 */
export function undocumented(args: readonly string[], stdout: string): string[] {
  if (args.includes('--dry-run')) return []
  const [command = '', action = ''] = args
  const documented = known.get(`${command} ${action}`) ?? known.get(command)
  if (documented === undefined) return []
  const value = JSON.parse(stdout)
  const fields = Object.keys(value)
  if (documented.others.some((other) => fields.every((field) => other.includes(field)))) return []
  return missing(value, documented.block, command)
}
