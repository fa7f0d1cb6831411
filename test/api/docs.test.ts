import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import * as fc7 from '../../src/index.js'
import { fc7Warm } from '../cli/run.js'
import { snippets } from '../support/docs.js'
import { given, installInto, runProgram } from '../support/programs.js'
import { tinyModel, writeTinyImages } from '../support/tiny.js'

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'fc7-api-'))
  await installInto(root)
  await writeFile(join(root, 'tiny.onnx'), tinyModel())
  await writeTinyImages(join(root, 'photos'), { train: 8, test: 4 })
})
afterAll(() => rm(root, { recursive: true, force: true }))

const programs = snippets('api.md', 'ts')
const says: readonly RegExp[] = [
  /^36 embeddings, 0 images/,
  /^36 24 \[ 'blue', 'green', 'red' \] blue true\n$/,
  /^\[ 'blue', 'green', 'red' \] 0\.1\n$/,
  /^(\S+\.png (blue|green|red) -?[\d.]+\n){3}$/,
  /Linear SVM [\d.]+/,
  /report\.html.*report\.md/,
  /^36 \[ 'blue', 'green', 'red' \]\n$/,
  /read as splits[\s\S]*\n[\d.]+ \d\n$/,
  /^\[ 'blue', 'green', 'red' \] 32 32 [\d.e-]+\n$/,
  /linear-svm C loss tol max_iter[\s\S]*fc7|relu7 1 \d+\nSTORE_MISSING/,
]

describe('the programs of docs/api.md', () => {
  it('are ten', () => {
    expect(programs).toHaveLength(says.length)
  })

  it('type-check as a user’s own, strictly and with the declarations of libraries', async () => {
    const files = await Promise.all(
      programs.map(async (code, i) => {
        const path = join(root, `program${i}.mts`)
        await writeFile(path, given + code)
        return path
      }),
    )
    const tsc = fileURLToPath(new URL('../../node_modules/typescript/bin/tsc', import.meta.url))
    const options = '--noEmit --strict --target es2022 --module nodenext --types node'.split(' ')
    expect(execFileSync(process.execPath, [tsc, ...options, ...files], { cwd: root, encoding: 'utf8' })).toBe('')
  })

  // One after the other in one folder: each uses what those before it wrote.
  it.each(programs.map((code, i) => [i + 1, code] as const))('program %i', async (number, code) => {
    expect(await runProgram(code, root)).toMatch(says[number - 1]!)
  })
})

describe('a signal that has fired', () => {
  const stopped = { signal: AbortSignal.abort() }
  const store = () => join(root, 'photos.fc7')
  const out = () => join(root, 'nothing')
  const source = () => join(root, 'photos')
  const model = () => join(root, 'tiny.onnx')
  it.each<[string, () => Promise<unknown>]>([
    ['extract', () => fc7.extract({ source: source(), model: model(), out: out(), ...stopped })],
    ['importEmbeddings', () => fc7.importEmbeddings({ file: join(root, 'photos.npy'), out: out(), ...stopped })],
    ['exportStore', () => fc7.exportStore({ store: store(), to: 'npy', out: out(), ...stopped })],
    ['mergeStores', () => fc7.mergeStores({ stores: [store()], out: out(), ...stopped })],
    ['verifyStore', () => fc7.verifyStore({ store: store(), ...stopped })],
    ['train', () => fc7.train({ store: store(), trainer: 'knn', out: out(), ...stopped })],
    ['predict', () => fc7.predict({ classifier: join(root, 'photos.svm'), source: store(), ...stopped })],
    ['bundle', () => fc7.bundle({ classifier: join(root, 'photos.svm'), out: `${out()}.onnx`, ...stopped })],
    ['compare', () => fc7.compare({ sources: [store()], out: out(), ...stopped })],
    ['report', () => fc7.report({ evaluation: join(root, 'result'), out: out(), ...stopped })],
    ['advise', () => fc7.advise({ source: store(), out: out(), ...stopped })],
    ['finetune', () => fc7.finetune({ source: source(), model: model(), out: out(), ...stopped })],
  ])('stops %s before anything is written', async (_, call) => {
    await expect(call()).rejects.toMatchObject({ code: 'INTERRUPTED' })
    expect(existsSync(out()) || existsSync(`${out()}.onnx`)).toBe(false)
  })
})

describe('a classifier is the same to the library and to the command line', () => {
  const run = async (...args: string[]) => {
    const outcome = await fc7Warm([...args, '--json', '--quiet'], {
      cwd: root,
      env: { FC7_CACHE: join(root, 'cache') },
    })
    return { code: outcome.code, json: outcome.code === 0 ? JSON.parse(outcome.stdout) : outcome.stderr }
  }

  it('trained by the library, used by predict and bundle', async () => {
    const predicted = await run('predict', 'photos.svm', 'photos', '--model', 'tiny.onnx', '--recipe', 'torchvision')
    expect([predicted.code, predicted.json.rows]).toEqual([0, 36])
    const bundled = await run('bundle', 'photos.svm', '--model', 'tiny.onnx', '--out', 'by-command.onnx')
    expect([bundled.code, bundled.json.classes]).toEqual([0, ['blue', 'green', 'red']])
  })

  it('trained by the command, used by the library; both are the same file', async () => {
    const trained = await run('train', 'photos.fc7', '--trainer', 'linear-svm', '--set', 'C=0.1', '--out', 'own.svm')
    expect(trained.code).toBe(0)
    const weights = await Promise.all(
      ['photos.svm', 'own.svm'].map((folder) => readFile(join(root, folder, 'weights.safetensors'))),
    )
    expect(weights[0]!.equals(weights[1]!)).toBe(true)
    const code = `
      import { predict } from 'fc7'
      const { right, fresh } = await predict({ classifier: 'own.svm', source: 'photos.fc7' })
      console.log(right > 0, fresh)`
    expect(await runProgram(code, root)).toBe('true 12\n')
  })
})
