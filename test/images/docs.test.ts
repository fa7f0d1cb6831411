import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

const root = mkdtempSync(join(tmpdir(), 'fc7-docs-'))
const house = fileURLToPath(new URL('../../', import.meta.url))
beforeAll(() => {
  mkdirSync(join(root, 'photos', 'cat'), { recursive: true })
  for (const name of ['cat.jpg', 'photos/cat/1.png']) cpSync(join(house, 'docs', 'report.png'), join(root, name))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

/** The JavaScript of a page, run as a reader would, with the image and the folder that it names. */
function run(page: string): string[] {
  const text = readFileSync(join(house, 'docs', page), 'utf8')
  return [...text.matchAll(/```js\n([\s\S]*?)```/g)].map(([, code]) => {
    const placed = code!
      .replaceAll("'cat.jpg')", `'${join(root, 'cat.jpg')}')`)
      .replaceAll("'photos'", `'${join(root, 'photos')}'`)
    // From the house's folder, where the package finds itself by its name.
    return execFileSync(process.execPath, ['--input-type=module', '-e', placed], { cwd: house, encoding: 'utf8' })
  })
}

describe('snippets of the pages', () => {
  it('docs/images.md', () => {
    expect(run('images.md')).toEqual([expect.stringMatching(/^true \d+ \d+\n$/), 'true resized\n'])
  }, 30_000)

  it('docs/datasets.md', () => {
    const [said] = run('datasets.md')
    expect(said).toContain('cat/1.png cat')
    expect(said).toMatch(/1 \[ \[ 'cat', 1 \] \] \[\] 64/)
  }, 30_000)
})
