import { cp, mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { tinyModel, writeTinyImages } from '../../support/tiny.js'
import { errorLines, fc7, fc7Warm, type Outcome } from '../run.js'
import { openTuneFolder } from '../tune-folder.js'

const { root, env, file, base } = await openTuneFolder()
beforeAll(() => writeFile(file('erf.onnx'), tinyModel('Erf')))
afterAll(() => rm(root, { recursive: true, force: true }))

describe('bad input ends before training, with two lines', () => {
  // All at once: most of a run is the start of Node.
  let outcomes: Outcome[]
  beforeAll(async () => {
    await cp(file('photos'), file('gap'), { recursive: true })
    await mkdir(file('gap', 'train', 'yellow'))
    await cp(file('photos'), file('unseen'), { recursive: true })
    await cp(file('photos', 'test', 'red'), file('unseen', 'test', 'yellow'), { recursive: true })
    await cp(file('photos'), file('loose'), { recursive: true })
    await cp(file('photos', 'test', 'red', '0.png'), file('loose', 'train', 'stray.png'))
    await writeTinyImages(file('few'), { train: 2, test: 0 })
    outcomes = await Promise.all(cases.map(([, args]) => fc7Warm([...args(), '--out', file('bad')], { env })))
  }, 60_000)

  const cases: readonly [string, () => string[], RegExp, RegExp][] = [
    [
      'a batch larger than the data',
      () => [...base(), '--batch-size', '40'],
      /batch of 40 is larger than the 30 images/,
      /--batch-size 15/,
    ],
    [
      'a step of more batches than there are',
      () => [...base(), '--batch-size', '8', '--grad-accum-steps', '5'],
      /5 batches of 8; the 30 images to train on make 4/,
      /--grad-accum-steps 4/,
    ],
    ['a label whose folder is empty', () => base('gap'), /label yellow has no image/, /remove/],
    ['a label with images in test alone', () => base('unseen'), /label yellow has no image to train on/, /train split/],
    ['an image without a label', () => base('loose'), /1 images? ha.* no label.*stray\.png/, /folder of its label/],
    ['too few images to choose by', () => [...base('few'), '--batch-size', '1'], /too few images/, /Three images/],
    [
      'a layer that does not exist',
      () => [...base(), '--strategy', 'last', '--freeze-until', 'nowhere'],
      /no layer "nowhere"/,
      /relu7.*fc7 models layers/,
    ],
    [
      'too little memory',
      () => [...base(), '--strategy', 'all', '--memory-limit', '0.05'],
      /would need about \d+/,
      /--batch-size/,
    ],
    [
      'an op without a gradient',
      () => [...base('photos', 'erf.onnx'), '--strategy', 'all'],
      /no gradient for the op Erf \(layer relu1\)/,
      /--freeze-until/,
    ],
    [
      'an export of an op without a gradient',
      () => [...base('photos', 'erf.onnx'), '--strategy', 'all', '--export-only'],
      /Erf/,
      /--freeze/,
    ],
  ]
  it.each(cases.map(([name, , ...expected], i) => [name, i, ...expected] as const))(
    '%s',
    async (_name, i, says, hint) => {
      const outcome = outcomes[i]!
      const [what, todo] = errorLines(outcome)
      expect([outcome.code, what]).toEqual([1, expect.stringMatching(says)])
      expect(what).toMatch(/^fc7: /)
      expect(todo).toMatch(hint)
      // No bar was drawn, and no stack shown.
      expect(outcome.stderr).not.toMatch(/Training (head|last|all):|\n\s+at /)
      expect(await readdir(root)).not.toContain('bad')
    },
  )

  it('the same op may stay in the frozen layers', async () => {
    const args = [...base('photos', 'erf.onnx'), '--strategy', 'last', '--epochs', '1', '--out', file('frozen-erf')]
    expect((await fc7(args, { env })).code).toBe(0)
  })
})
