import type { Random } from '../../../base/random.js'
import { maxCodes } from '../wasm/bins/bin-arena.js'
import { type ForestArena, type ForestStorage, forestArenaFor } from '../wasm/forest/forest-arena.js'
import type { TreeNodes } from './arrays.js'
import { type GrownTree, type GrowOptions, leastWeight } from './classification.js'
import { between } from './growing.js'
import type { TreeData } from './search.js'

/**
 * Grows one tree of a forest on bins: of a random forest (Breiman 2001), or of extra-trees (Geurts 2006), where there
 * is one cut of every column tried, at a bin drawn uniformly between the smallest and the largest of the node. As in
 * scikit-learn: so many columns as the storage says are drawn at a node, those that are constant there among them; only
 * if all were constant it draws on. A node is split as long as it is not pure, even by a cut that gains nothing. The
 * threshold lies halfway between the bins that are next to the cut in the node.
 *
 * @param weights `[rows]`, 0 leaves a row out
 * @param thread which part of the storage is this one's
 */
export function growForestTree(
  { y, cols, classes }: TreeData,
  storage: ForestStorage,
  weights: Float64Array,
  { criterion, maxDepth, minRows, randomCuts = false }: GrowOptions,
  random: Random,
  thread: number,
): GrownTree {
  const arena = forestArenaFor(storage, thread)
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
  random.words(arena.state)
  arena.set('minRows', minRows)
  arena.set('random', randomCuts ? 1 : 0)
  arena.set('entropy', criterion === 'entropy' ? 1 : 0)
  arena.set('maxDepth', Math.min(maxDepth, 2 ** 31 - 1))
  arena.minWeight = (leastWeight * weight) / rows
  const nodes = arena.kernel.grow(arena.base, rows)
  const sum = arena.importance.reduce((a, b) => a + b, 0)
  const importance = arena.importance.map((gain) => (sum > 0 ? gain / sum : 0))
  return { ...readTree(arena, nodes, classes), importance }
}

/** The tree that was grown last. Node for node it is as {@link TreeNodes} says. */
function readTree({ nodes: grown, edges, classes: classOf, weights }: ForestArena, nodes: number, classes: number) {
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

/**
 * The leaves that rows fall to in the thread's tree that was grown last; -1 for those that are not asked for.
 *
 * @param tree as it was returned
 */
export function leavesOfOthers(
  { x, rows, cols }: TreeData,
  storage: ForestStorage,
  { feature, threshold, left, leaf }: TreeNodes,
  thread: number,
  asked: (row: number) => boolean,
): Int32Array {
  const { nodes, codes } = forestArenaFor(storage, thread)
  const leaves = new Int32Array(rows).fill(-1)
  // A row's codes are read from front to back before it jumps among them: each step would wait for memory otherwise.
  const own = new Uint8Array(cols)
  for (let row = 0; row < rows; row++) {
    if (!asked(row)) continue
    own.set(codes.subarray(row * storage.rowBytes, row * storage.rowBytes + cols))
    let node = 0
    for (let f = feature[0]!; f >= 0; f = feature[node]!) {
      const code = own[f]!
      const edges = nodes.code[node]!
      const between = code > (edges & 255) && code < edges >>> 8
      const over = between ? x[row * cols + f]! > threshold[node]! : code > (edges & 255)
      node = left[node]! + Number(over)
    }
    leaves[row] = leaf[node]!
  }
  return leaves
}
