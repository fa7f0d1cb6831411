import { describe, expect, it } from '@jest/globals'
import { encodeModel, GraphBuilder } from '../../src/onnx/build.js'
import { loadOrt } from '../../src/runtime/ort.js'
import { closeSession, openSession } from '../../src/runtime/session.js'
import { buildLoss, type Loss } from '../../src/training/graph/losses.js'

const rows = 5
const weights = [1, 1, 0.5, 0, 1]
const first = [0, 2, 1, 1, 0]
const second = [1, 2, 0, 0, 2]
const share = [0.8, 0.25, 0.5, 1, 0]
const logitsOf = (classes: number): number[] =>
  Array.from({ length: rows * classes }, (_, i) => Math.sin(2.7 * i + 1) * 2.5)

async function evaluate(loss: Loss, classes: number, mixed: boolean, logits: readonly number[]) {
  const g = new GraphBuilder('loss')
  g.input('logits', 'float32', [rows, classes])
  g.input('weights', 'float32', [rows])
  const labels = (list: readonly number[]) => {
    const name = g.fresh('labels')
    const own = classes === 1 ? list.map((label) => Math.min(label, 1)) : list
    return g.initializer(name, 'int64', [rows], BigInt64Array.from(own, BigInt))
  }
  const made = buildLoss(g, loss, {
    logits: 'logits',
    labels: labels(first),
    weights: 'weights',
    batch: rows,
    classes,
    ...(mixed ? { mix: { labels: labels(second), share: g.floats(share) } } : {}),
  })
  const names = [made.loss, made.gradient, made.correct]
  for (const name of names) g.output(name, 'float32', name === made.gradient ? [rows, classes] : [])
  const session = await openSession(encodeModel(g.model(17)))
  const { Tensor } = loadOrt()
  const result = await session.run({
    logits: new Tensor('float32', Float32Array.from(logits), [rows, classes]),
    weights: new Tensor('float32', Float32Array.from(weights), [rows]),
  })
  const [value, gradient, correct] = names.map((name) => Array.from(result[name]!.data as Float32Array))
  await closeSession(session)
  return { value: value![0]!, gradient: gradient!, correct: correct![0]! }
}

/**
 * The losses as they are written down, in double precision. A row's loss is the mean of its two labels' losses by their
 * shares; a label's loss is the cross-entropy to its smoothed target, each class by its weight; the batch's is the sum
 * over rows by their weights, over the sum of the weights of their labels' classes.
 */
function defined(loss: Loss, classes: number, mixed: boolean, logits: readonly number[]): number {
  const labelSmoothing = loss.labelSmoothing ?? 0
  const classWeight = (c: number) => loss.classWeights?.[c] ?? 1
  let [sum, mass] = [0, 0]
  for (let row = 0; row < rows; row++) {
    const z = logits.slice(row * classes, (row + 1) * classes)
    const both = mixed ? [share[row]!, 1 - share[row]!] : [1, 0]
    for (const [i, part] of both.entries()) {
      const label = (i === 0 ? first : second)[row]!
      if (classes === 1) {
        const own = Math.min(label, 1)
        const p = 1 / (1 + Math.exp(-z[0]!))
        const target = own * (1 - labelSmoothing) + labelSmoothing / 2
        const entropy = -target * Math.log(p) - (1 - target) * Math.log(1 - p)
        sum += weights[row]! * part * classWeight(own) * entropy
        mass += weights[row]! * part * classWeight(own)
        continue
      }
      const total = z.reduce((all, v) => all + Math.exp(v), 0)
      z.forEach((v, c) => {
        const target = (c === label ? 1 - labelSmoothing : 0) + labelSmoothing / classes
        sum -= weights[row]! * part * target * classWeight(c) * Math.log(Math.exp(v) / total)
      })
      mass += weights[row]! * part * classWeight(label)
    }
  }
  return sum / mass
}

describe('losses are what they are by definition, value and derivative', () => {
  const cases = ([1, 3] as const).flatMap((classes) =>
    [0, 0.2].flatMap((labelSmoothing) =>
      [undefined, [0.5, 2, 1.25]].flatMap((classWeights) =>
        [false, true].map((mixed) => ({ classes, labelSmoothing, classWeights, mixed })),
      ),
    ),
  )
  it.each(cases)('%j', async ({ classes, labelSmoothing, classWeights, mixed }) => {
    const loss: Loss = {
      kind: classes === 1 ? 'sigmoid' : 'softmax',
      labelSmoothing,
      ...(classWeights ? { classWeights: classWeights.slice(0, Math.max(2, classes)) } : {}),
    }
    const logits = logitsOf(classes)
    const { value, gradient, correct } = await evaluate(loss, classes, mixed, logits)
    expect(value).toBeCloseTo(defined(loss, classes, mixed, logits), 5)
    gradient.forEach((slope, i) => {
      const at = (by: number) => defined(loss, classes, mixed, logits.with(i, logits[i]! + by))
      expect(slope).toBeCloseTo((at(1e-5) - at(-1e-5)) / 2e-5, 5)
    })
    let right = 0
    for (let row = 0; row < rows; row++) {
      const z = logits.slice(row * classes, (row + 1) * classes)
      const predicted = classes === 1 ? Number(z[0]! > 0) : z.indexOf(Math.max(...z))
      const hit = (labels: readonly number[]) =>
        Number((classes === 1 ? Math.min(labels[row]!, 1) : labels[row]!) === predicted)
      right += weights[row]! * (mixed ? share[row]! * hit(first) + (1 - share[row]!) * hit(second) : hit(first))
    }
    expect(correct).toBeCloseTo(right, 5)
  })
})
