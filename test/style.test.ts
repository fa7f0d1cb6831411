import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'

const root = fileURLToPath(new URL('../', import.meta.url))
const source = readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith('.ts') && !entry.parentPath.includes('generated'))
  .map((entry) => relative(root, join(entry.parentPath, entry.name)))
const texts = new Map(source.map((path) => [path, readFileSync(join(root, path), 'utf8')]))

/** Every place in src/ where a pattern stands: `file:line`. */
function places(pattern: RegExp): string[] {
  return [...texts].flatMap(([path, text]) =>
    text.split('\n').flatMap((line, i) => (pattern.test(line) ? [`${path}:${i + 1} ${line.trim().slice(0, 80)}`] : [])),
  )
}

// What biome does not check; the rules stand in CONTRIBUTING.md.
describe('style of src/', () => {
  test('lines have at most 120 columns', () => {
    // Pages and their style sheet are texts of HTML and CSS; the longest expressions below cannot be broken.
    const unbroken = /^src\/(report|finetune\/train\/preview)/
    expect(places(/^.{121}/u).filter((place) => !unbroken.test(place) && !place.includes('/[\\u0000'))).toEqual([])
  })

  test('a folder of more than twelve files has subfolders', () => {
    const counts = new Map<string, number>()
    for (const path of source) counts.set(dirname(path), (counts.get(dirname(path)) ?? 0) + 1)
    expect([...counts].filter(([, files]) => files > 12)).toEqual([])
  })

  test('optional values are handed on, not spread by condition', () => {
    expect(places(/\.\.\.\([^()]*(===|!==) undefined \? (\{\}|\{ \w+ \}) :/)).toEqual([])
  })

  test('privacy is the language’s own', () => {
    expect(places(/^\s+(private|protected) (?!constructor)/)).toEqual([])
  })

  test('the field’s words', () => {
    // A column of other people's data sets has the name that they gave it.
    const theirs = "'image', 'img', 'picture', 'photo'"
    const found = places(/\b(pictures?|optimisers?|heeds?|anew|whilst|foresees?|foreseen|told|seats?|let go)\b/i)
    expect(found.filter((place) => !place.includes(theirs))).toEqual([])
  })
})
