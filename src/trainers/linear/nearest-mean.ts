import type { Trainer } from '../contract.js'
import { eachBlock } from '../linalg/blocks.js'
import { LinearModel } from './model.js'

/**
 * The class whose mean is nearest. −½‖x − m‖² differs from x·m − ½‖m‖² by a number that is the same for every class, so
 * the model is linear.
 */
export const nearestMean: Trainer = {
  id: 'nearest-mean',
  title: 'Nearest mean',
  summary: 'The class whose mean embedding is nearest; a baseline without parameters.',
  defaultPreprocess: 'l2',
  params: [],
  estimatedBytes: ({ cols, counts }) => 12 * counts.length * cols,
  async fit(set, { signal, onProgress }) {
    const { data, cols } = set.x
    const classes = set.classes.length
    const sums = new Float64Array(classes * cols)
    const totals = new Float64Array(classes)
    await eachBlock(set.x, { signal, onProgress }, (from, end) => {
      for (let i = from; i < end; i++) {
        const w = set.weights?.[i] ?? 1
        const to = set.y[i]! * cols
        totals[set.y[i]!]! += w
        for (let j = 0; j < cols; j++) sums[to + j]! += w * data[i * cols + j]!
      }
    })
    const bias = new Float32Array(classes)
    for (let c = 0; c < classes; c++) {
      let norm = 0
      for (let j = c * cols; j < (c + 1) * cols; j++) {
        sums[j]! /= totals[c]!
        norm += sums[j]! * sums[j]!
      }
      bias[c] = -norm / 2
    }
    return new LinearModel({ weights: Float32Array.from(sums), bias, softmax: false, facts: {} })
  },
  load: LinearModel.load,
}
