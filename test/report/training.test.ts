import { expect, it } from '@jest/globals'
import type { TrainingRecord } from '../../src/finetune/result/record.js'
import { renderTraining } from '../../src/report/pages/training-page.js'

const epoch = (phase: string, number: number) => ({
  phase,
  epoch: number,
  trainLoss: 1 / number,
  trainAccuracy: 0.5 + number / 20,
  selectLoss: 1.2 / number,
  selectAccuracy: 0.4 + number / 20,
  lr: 0.01 / number,
  norms: { 'part 1 of 2': 0, 'part 2 of 2': 1 / number, head: 3 },
  imagesPerSecond: 40,
})

const record: TrainingRecord = {
  plan: {
    format: 1,
    strategy: 'lp-ft',
    backbone: { id: 'tiny' },
    dataset: { name: '</style><script>x</script>' },
    classes: ['<b>ants', 'bees'],
    images: { train: 40, select: 8, sources: { select: 'the val split', report: 'the test split' } },
    optimizer: { kind: 'sgd' },
    phases: [
      { name: 'head', boundary: 'relu7', trainedValues: 75, frozenValues: 1200, epochs: 3, lr: 0.01 },
      { name: 'all', boundary: 'pixels', trainedValues: 1275, frozenValues: 0, epochs: 4, lr: 0.001 },
    ],
  },
  best: { epoch: 2, loss: 0.31, accuracy: 0.9 },
  history: [1, 2, 3].map((n) => epoch('head', n)).concat([1, 2].map((n) => epoch('all', n))),
  finished: undefined,
}

const confusion = [
  [5, 1],
  [0, 6],
]
const report = { source: 'the test split', rows: 12, correct: 11, accuracy: 11 / 12, classes: record.plan.classes }

it('a training that goes on is told as far as it went, with four charts', async () => {
  const page = await renderTraining(record)
  expect(page).toContain('Not finished: 5 of at most 7 epochs')
  expect(page).toContain('after epoch 2 of all')
  expect(page.match(/<svg/g)).toHaveLength(4)
  expect(page).not.toContain('id="classes"')
})

it('a finished one says what was reported, by class; names from outside stay text, and nothing is loaded', async () => {
  const page = await renderTraining({ ...record, finished: { ...report, confusion, id: 'photos', failures: 2 } })
  expect(page).toContain('91.7 % of 12 images right on the test split')
  expect(page).toContain('2 images could not be read')
  expect(page).toContain('2 (best)')
  expect(page).toContain('&lt;b&gt;ants')
  expect(page).not.toMatch(/<script|<b>|https?:\/\/(?!www\.w3\.org)/)
  expect(page).toContain("default-src 'none'")
})

it('one epoch, or none, is no reason to fail', async () => {
  for (const history of [[], [epoch('head', 1)]]) {
    const page = await renderTraining({ ...record, history, best: null })
    expect(page).toContain('Not finished')
  }
})
