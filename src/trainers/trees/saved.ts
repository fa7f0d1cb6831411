import { Fc7Error } from '../../base/errors.js'
import type { NamedTensor } from '../../base/safetensors.js'
import type { ModelState } from '../contract.js'
import { readTensor, tensorOf } from '../state.js'
import type { Forest } from './growing/arrays.js'

export function forestTensors(forest: Forest, outputs: number): [string, NamedTensor][] {
  const { roots, feature, threshold, left, right, leaf, values } = forest
  return [
    ['roots', tensorOf([roots.length], roots)],
    ['feature', tensorOf([feature.length], feature)],
    ['threshold', tensorOf([threshold.length], threshold)],
    ['left', tensorOf([left.length], left)],
    ['right', tensorOf([right.length], right)],
    ['leaf', tensorOf([leaf.length], leaf)],
    ['shares', tensorOf([values.length / outputs, outputs], values)],
  ]
}

/**
 * The inverse of {@link forestTensors}. A walk must end at a leaf that exists: children come after their parent, every
 * number is in its range.
 *
 * @throws Fc7Error CLASSIFIER_BROKEN
 */
export function readForest(state: ModelState, outputs: number, cols: number): Forest {
  const feature = readTensor(state, 'feature', 'int32', [-1])
  const n = [feature.length]
  const forest: Forest = {
    roots: readTensor(state, 'roots', 'int32', [-1]),
    feature,
    threshold: readTensor(state, 'threshold', 'float32', n),
    left: readTensor(state, 'left', 'int32', n),
    right: readTensor(state, 'right', 'int32', n),
    leaf: readTensor(state, 'leaf', 'int32', n),
    values: readTensor(state, 'shares', 'float32', [-1, outputs]),
  }
  const nodes = feature.length
  const leaves = forest.values.length / outputs
  const inside = (value: number, low: number, high: number): boolean => value >= low && value < high
  const sound =
    forest.roots.every((root) => inside(root, 0, nodes)) &&
    feature.every((f, i) =>
      f < 0
        ? inside(forest.leaf[i]!, 0, leaves)
        : f < cols && inside(forest.left[i]!, i + 1, nodes) && inside(forest.right[i]!, i + 1, nodes),
    )
  if (sound) return forest
  throw new Fc7Error('CLASSIFIER_BROKEN', 'The saved model cannot be used: its trees point outside of themselves.', {
    hint: 'Train it again.',
  })
}
