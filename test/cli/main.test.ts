import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { commands } from '../../src/cli/commands/index.js'
import { formatTable, terminalProgress } from '../../src/cli/terminal.js'
import { executeExtraction } from '../../src/embeddings/extract/extract.js'
import { fakeJob, fakePlan } from '../embeddings/fake.js'
import { errorLines, fc7, fc7Warm } from './run.js'

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'fc7-cli-'))
  await executeExtraction(fakeJob(join(root, 'store'), fakePlan(25)))
})
afterAll(async () => {
  await rm(root, { recursive: true, force: true })
})

describe('the command line', () => {
  it('exits 2 on wrong usage, with what is wrong and where help is', async () => {
    for (const args of [
      [],
      ['nonsense'],
      ['verify'],
      ['doctor', '--nonsense'],
      ['export', 'x', '--to', 'xls', '--out', 'y'],
    ]) {
      const outcome = await fc7Warm(args)
      expect([args, outcome.code]).toEqual([args, 2])
      expect(errorLines(outcome)[0]).toMatch(/^fc7: .+/)
      expect(errorLines(outcome)[1]).toMatch(/--help/)
      expect(outcome.stdout).toBe('')
    }
  })

  it('says which option is missing, and where that command has its help', async () => {
    const outcome = await fc7(['extract', 'photos/'])
    expect(errorLines(outcome)).toEqual(['fc7: --model and --out are missing.', 'See `fc7 extract --help`.'])
    const tuned = await fc7Warm(['finetune', 'photos/', '--model', 'resnet50'])
    expect(tuned.code).toBe(2)
    expect(errorLines(tuned)[0]).toBe('fc7: There is no folder for the new backbone.')
    const choice = await fc7Warm(['finetune', 'photos/', '--model', 'resnet50', '--strategy', 'fit', '--out', 'x'])
    expect([choice.code, ...errorLines(choice)]).toEqual([
      2,
      'fc7: --strategy cannot be "fit".',
      'It is one of "head", "last", "all", "scratch", "lp-ft"; see `fc7 finetune --help`.',
    ])
  })

  it('exits 1 on a failure, with two lines and no stack unless --debug asks for it', async () => {
    const outcome = await fc7(['verify', join(root, 'nowhere')])
    expect(outcome.code).toBe(1)
    expect(outcome.stderr.trim().split('\n')).toHaveLength(2)
    expect((await fc7Warm(['verify', join(root, 'nowhere'), '--debug'])).stderr).toMatch(/\n {4}at /)
  })

  it('every command has a description, an example that names it, and help', async () => {
    const helps = await Promise.all(commands.map((command) => fc7Warm([command.usage.split(' ')[0]!, '--help'])))
    helps.forEach((help, i) => {
      const name = commands[i]!.usage.split(' ')[0]!
      expect([name, help.code]).toEqual([name, 0])
      expect(help.stdout).toContain('Examples:')
      expect(help.stdout.split('Examples:')[1]).toContain(`fc7 ${name}`)
    })
  }, 60_000)

  it('doctor tries providers for real and says that this machine can run fc7', async () => {
    const outcome = await fc7(['doctor', '--json', '--cache', join(root, 'cache')])
    expect(outcome.code).toBe(0)
    const { ready, checks } = JSON.parse(outcome.stdout)
    expect(ready).toBe(true)
    const cpu = checks.find((check: { name: string }) => check.name === 'provider cpu')
    expect(cpu).toEqual({ name: 'provider cpu', ok: true, found: 'creates a session and computes' })
    for (const check of checks) if (!check.ok) expect(check.fix.length).toBeGreaterThan(20)
  })

  it('doctor calls a cache that cannot be written a failure', async () => {
    await writeFile(join(root, 'file'), '')
    const outcome = await fc7Warm(['doctor', '--json', '--cache', join(root, 'file', 'cache')])
    expect(outcome.code).toBe(1)
    expect(JSON.parse(outcome.stdout).ready).toBe(false)
  })

  it('verify, merge and export work on a store, and --json prints one document', async () => {
    const verified = await fc7Warm(['verify', join(root, 'store'), '--json'])
    expect(JSON.parse(verified.stdout)).toEqual({ ok: true, rows: 25, failures: 0, findings: [] })
    const merged = await fc7(['merge', join(root, 'store'), '--out', join(root, 'merged'), '--json'])
    expect(JSON.parse(merged.stdout)).toMatchObject({ rows: 25, missingShards: [] })
    const exported = await fc7(['export', join(root, 'merged'), '--to', 'npy', '--out', join(root, 'x.npy'), '--json'])
    expect(JSON.parse(exported.stdout)).toMatchObject({ rows: 25, dim: 3, layer: 'fc7' })
    expect(await readdir(root)).toEqual(expect.arrayContaining(['x.npy', 'x.index.csv']))
  })

  it('lists data sets, and refuses an unknown one', async () => {
    expect(JSON.parse((await fc7(['datasets', 'list', '--json'])).stdout)[0]).toMatchObject({
      id: 'cifar10',
      classes: 10,
    })
    const unknown = await fc7Warm(['datasets', 'show', 'cifar1000'])
    expect(unknown.code).toBe(1)
    expect(unknown.stderr).toContain('cifar10')
    const nameless = await fc7Warm(['datasets', 'show'])
    expect([nameless.code, nameless.stderr]).toEqual([2, expect.stringContaining('needs the id')])
  })
})

describe('the terminal', () => {
  it('draws a bar on a terminal and plain lines elsewhere', () => {
    let clock = 0
    const written: string[] = []
    const stream = (isTTY: boolean) => ({ isTTY, columns: 200, write: (text: string) => written.push(text) })
    const bar = terminalProgress(stream(true), () => clock).task({ label: 'Extracting', total: 100, unit: 'images' })
    clock = 1000
    bar.update(50, '2 failed')
    expect(written.at(-1)).toBe(
      '████████████░░░░░░░░░░░░ Extracting  50 of 100 images  50 images/s, 1.0 s left  2 failed',
    )
    written.length = 0
    clock = 0
    const plain = terminalProgress(stream(false), () => clock).task({ label: 'Extracting', total: 100, unit: 'images' })
    clock = 5000
    plain.update(10)
    expect(written).toEqual([])
    clock = 10_000
    plain.update(50)
    expect(written).toEqual(['Extracting  50 of 100 images  5.0 images/s, 10 s left\n'])
  })

  it('keeps control characters of names out of the terminal', () => {
    expect(formatTable(['name', 'n'], [['evil\u001b[2J', '1']])).toContain('evil\\u{1b}[2J')
  })
})
