import type { Random } from '../../base/random.js'
import { type GrownTree, type GrowOptions, leastWeight } from './classification.js'
import { between } from './growing.js'
import type { TreeData } from './search.js'
import { maxCodes } from './wasm/bin-arena.js'
import { type CutArena, type CutRoom, cutArenaFor } from './wasm/cut-arena.js'

/**
 * Grows one tree of extra-trees (Geurts 2006) on bins: like a tree of a random forest, but of every column tried there is one cut only,
 * at a bin drawn uniformly between the smallest and the largest of the node. The threshold lies halfway between the bins that
 * are next to the cut in the node.
 *
 * @param weights `[rows]`, 0 leaves a row out
 * @param thread which part of the room is this one's
 */
export function growRandomTree(
  { y, cols, classes }: TreeData,
  room: CutRoom,
  weights: Float64Array,
  { criterion, maxDepth, minRows }: GrowOptions,
  random: Random,
  thread: number,
): GrownTree {
  const arena = cutArenaFor(room, thread)
  let rows = 0
  let weight = 0
  weights.forEach((w, row) => {
    if (w <= 0) return
    arena.places[rows] = row
    arena.classes[rows] = y[row]!
    arena.weights[rows] = w
    weight += w
    rows++
  })
  arena.places.fill(0, rows)
  for (let f = 0; f < cols; f++) arena.columns[f] = f
  arena.importance.fill(0)
  random.words(arena.random)
  arena.set('minRows', minRows)
  arena.set('entropy', criterion === 'entropy' ? 1 : 0)
  arena.set('maxDepth', Math.min(maxDepth, 2 ** 31 - 1))
  arena.minWeight = (leastWeight * weight) / rows
  const nodes = arena.kernel.grow(arena.base, rows)
  const sum = arena.importance.reduce((a, b) => a + b, 0)
  const importance = arena.importance.map((gain) => (sum > 0 ? gain / sum : 0))
  return { ...readTree(arena, nodes, classes), importance }
}

/** The tree that was grown last. Node for node it is as {@link TreeNodes} says. */
function readTree({ nodes: grown, edges, classes: classOf, weights }: CutArena, nodes: number, classes: number) {
  const feature = grown.feature.slice(0, nodes)
  const left = grown.left.slice(0, nodes)
  const right = new Int32Array(nodes)
  const threshold = new Float32Array(nodes)
  const leaf = new Int32Array(nodes)
  const values: number[] = []
  const at = (f: number, code: number): number => 2 * (f * maxCodes + code)
  for (let node = 0; node < nodes; node++) {
    const f = feature[node]!
    const code = grown.code[node]!
    right[node] = f < 0 ? -1 : left[node]! + 1
    leaf[node] = f < 0 ? code : -1
    if (f >= 0) threshold[node] = between(edges[at(f, code & 255) + 1]!, edges[at(f, code >>> 8)]!)
    if (f >= 0 || code >= 0) continue
    // Several classes in one leaf.
    leaf[node] = classes + values.length / classes
    const counts = new Float64Array(classes)
    let total = 0
    for (let k = grown.from[node]!; k < grown.from[node]! + grown.rows[node]!; k++) {
      counts[classOf[k]!]! += weights[k]!
      total += weights[k]!
    }
    for (const count of counts) values.push(count / total)
  }
  return { feature, threshold, left, right, leaf, values: Float32Array.from(values) }
}
