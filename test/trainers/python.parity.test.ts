import { execFile } from 'node:child_process'
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { fc7 } from '../cli/run.js'
import { snippets } from '../support/docs.js'
import { tinyModel, writeTinyImages } from '../support/tiny.js'

const python = process.env.FC7_PYTHON ?? 'python3'

let root: string
const run = async (...args: string[]) => {
  const outcome = await fc7([...args, '--quiet', '--json'], { cwd: root, env: { FC7_CACHE: join(root, 'cache') } })
  expect([outcome.code, outcome.stderr]).toEqual([0, ''])
  return JSON.parse(outcome.stdout)
}
const runPython = async (script: string): Promise<string> =>
  (await promisify(execFile)(python, ['-c', script], { cwd: root })).stdout

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'fc7-python-'))
  await writeFile(join(root, 'tiny.onnx'), tinyModel())
  await writeTinyImages(join(root, 'photos'), { train: 20, test: 5 })
  await run('extract', 'photos', '--model', 'tiny.onnx', '--recipe', 'torchvision', '--out', 'photos.fc7')
}, 60_000)
afterAll(() => rm(root, { recursive: true, force: true }))

describe('Python runs what the docs say', () => {
  it('docs/bundle.md: the same labels and scores as fc7, from the image files on', async () => {
    await run('train', 'photos.fc7', '--trainer', 'logistic', '--out', 'photos.clf')
    await run('bundle', 'photos.clf', '--model', 'tiny.onnx', '--out', 'photos.onnx')
    const { predictions } = await run('predict', 'photos.clf', 'photos.fc7', '--top', '3')
    const own = ['test/blue/1.png', 'test/red/2.png'].map((path) =>
      predictions.find((row: { path: string }) => row.path === path),
    )
    await copyFile(join(root, 'photos', own[0].path), join(root, 'cat.jpg'))
    await copyFile(join(root, 'photos', own[1].path), join(root, 'dog.jpg'))
    const [labels, scores] = JSON.parse(await runPython(snippets('bundle.md', 'python')[0]!))
    expect(labels).toEqual(own.map((row) => row.predicted))
    const classes = ['blue', 'green', 'red']
    for (const [i, row] of own.entries())
      for (const { label, score } of row.top) expect(scores[i][classes.indexOf(label)]).toBeCloseTo(score, 5)
  }, 60_000)

  it('docs/classifier.md: a linear SVM read in five lines, and its ONNX form', async () => {
    await run('train', 'photos.fc7', '--trainer', 'linear-svm', '--onnx', '--out', 'photos.svm')
    await run('export', 'photos.fc7', '--to', 'npy', '--out', 'photos.npy')
    const { predictions } = await run('predict', 'photos.svm', 'photos.fc7', '--top', '3')
    const [five, onnx] = snippets('classifier.md', 'python')
    expect((await runPython(five!)).replaceAll("'", '"').trim()).toBe(
      `[${predictions.map((row: { predicted: string }) => `"${row.predicted}"`).join(', ')}]`,
    )
    const out = JSON.parse(
      await runPython(`${onnx}\nimport json; print(json.dumps([label.tolist(), scores.tolist()]))`),
    )
    expect(out[0]).toEqual(predictions.map((row: { predicted: string }) => row.predicted))
    const classes = ['blue', 'green', 'red']
    for (const [i, row] of predictions.entries())
      for (const { label, score } of row.top) expect(out[1][i][classes.indexOf(label)]).toBeCloseTo(score, 4)
    const { classes: named } = JSON.parse(await readFile(join(root, 'photos.svm', 'classifier.json'), 'utf8'))
    expect(named).toEqual(classes)
  }, 60_000)
})
