import { execFile } from 'node:child_process'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { augmentationOf, parseOptions } from '../../src/finetune/plan/options.js'
import { prepareFinetune } from '../../src/finetune/plan/prepare.js'
import { Images } from '../../src/finetune/train/images.js'
import { fc7 } from '../cli/run.js'
import { openWorkshop } from './tune.js'

const python = process.env.FC7_PYTHON ?? 'python3'
const script = fileURLToPath(new URL('../../docs/run-training-graph.py', import.meta.url))
const steps = 20

let shop: Awaited<ReturnType<typeof openWorkshop>>
beforeAll(async () => {
  shop = await openWorkshop()
})
afterAll(() => rm(shop.root, { recursive: true, force: true }))

/** fc7 with the tiny network; what it says as JSON. */
async function run(args: readonly string[], out: string) {
  const own = ['finetune', 'photos', '--model', 'tiny.onnx', '--recipe', 'torchvision', ...args, '--json', '--out', out]
  const outcome = await fc7(own, { cwd: shop.root, env: { FC7_CACHE: join(shop.root, 'cache') } })
  expect([outcome.code, outcome.stderr]).toEqual([0, expect.stringContaining('is read as')])
  return JSON.parse(outcome.stdout)
}

/** The training images as the recipe leaves them, in the file that the script reads. */
async function writePixels(): Promise<number> {
  const { roles, items, classes, network, backbone } = await prepareFinetune(shop.request({}))
  const images = new Images(items, {
    recipe: backbone.recipe.recipe,
    width: network.width,
    height: network.height,
    threads: 1,
    orient: false,
    seed: 0,
    augmentation: augmentationOf(parseOptions({})),
  })
  const { data } = await images.rows(roles.train, undefined)
  await images.close()
  await writeFile(join(shop.root, 'pixels.bin'), new Uint8Array(data))
  const labels = roles.train.map((i) => classes.indexOf(items[i]!.label!))
  const shape = [labels.length, network.height, network.width, 3]
  const code = `import numpy as np; np.savez('pixels.npz', data=np.fromfile('pixels.bin', np.uint8).reshape(${JSON.stringify(shape)}), labels=np.array(${JSON.stringify(labels)}))`
  await promisify(execFile)(python, ['-c', code], { cwd: shop.root })
  return labels.length
}

async function inPython(folder: string): Promise<number[]> {
  const { stdout } = await promisify(execFile)(python, [script, folder, 'pixels.npz', `${steps}`], { cwd: shop.root })
  return stdout
    .trim()
    .split('\n')
    .map((line) => Number(/^step \d+: loss ([\d.]+), \d+ of \d+ right$/.exec(line)?.[1]))
}

describe('docs/run-training-graph.py', () => {
  it('has fewer than 40 lines', async () => {
    expect((await readFile(script, 'utf8')).trim().split('\n').length).toBeLessThan(40)
  })

  it.each([
    ['all', 'sgd', '--lr 0.01 --depth-lr-factor 0.5 --weight-decay 0.01', 2e-6],
    ['last', 'sgd', '--lr 0.002 --head-lr-factor 5', 2e-6],
    // AdamW divides a gradient by its own size: of small ones the order in which rows are added shows.
    ['head', 'adamw', '--lr 0.01 --label-smoothing 0.1 --class-weight balanced', 1e-4],
  ])('%s by %s: the losses of fc7’s own run', async (strategy, optimizer, more, tolerance) => {
    const rows = await writePixels()
    // Every image in every step, and one rate: Python's order of the rows is of no account, and an epoch is a step.
    const args = [
      ...`--strategy ${strategy} --optimizer ${optimizer} --batch-size ${rows} --no-augment --warmup 0`.split(' '),
      ...`--schedule constant --epochs ${steps} --patience ${steps} ${more}`.split(' '),
    ]
    await run([...args, '--export-only'], `graphs-${strategy}`)
    const { history } = await run(args, `tuned-${strategy}`)
    const losses = await inPython(`graphs-${strategy}`)
    expect(losses).toHaveLength(steps)
    const errors = losses.map((loss, i) => Math.abs(loss - history[i].trainLoss))
    expect(Math.max(...errors)).toBeLessThan(tolerance)
    expect(losses.at(-1)).toBeLessThan(0.9 * losses[0]!)
  })

  it('draws dropout and mixup of its own, and learns', async () => {
    const rows = await writePixels()
    const args = `--strategy head --lr 0.01 --batch-size ${rows / 2} --dropout 0.2 --mixup 0.2 --export-only`.split(' ')
    await run(args, 'graphs-drawn')
    const losses = await inPython('graphs-drawn')
    expect(losses.slice(-3).reduce((a, b) => a + b) / 3).toBeLessThan(0.9 * losses[0]!)
  })
})
