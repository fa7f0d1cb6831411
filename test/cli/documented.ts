import { readFileSync } from 'node:fs'

/** The JSON blocks of docs/json.md by the command in their heading. */
function documents(): Map<string, unknown> {
  const text = readFileSync(new URL('../../docs/json.md', import.meta.url), 'utf8')
  const found = new Map<string, unknown>()
  for (const part of text.split(/^## fc7 /m).slice(1)) {
    const name = part.slice(0, part.indexOf('\n'))
    const block = /^```json\n([\s\S]*?)^```/m.exec(part)?.[1]
    if (block) found.set(name, JSON.parse(block))
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

/** What a command's document holds that docs/json.md does not tell of; nothing for commands that it refers elsewhere for. */
export function undocumented(args: readonly string[], stdout: string): string[] {
  if (args.includes('--dry-run')) return []
  const [command = '', action = ''] = args
  const documented = known.get(`${command} ${action}`) ?? known.get(command)
  return documented === undefined ? [] : missing(JSON.parse(stdout), documented, command)
}
