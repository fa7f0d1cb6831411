import { Fc7Error } from '../base/errors.js'
import { createRandom } from '../base/random.js'

/**
 * A seeded, stratified holdout: about `fraction` of every class goes to the test part, at least one item of each class
 * that has two, and never a whole class. With `groups`, items of one group stay together: each group goes whole to one
 * side, in a seeded order, where the test part of its first item's class has space; parts are then only about as large
 * as asked for.
 *
 * @param labels one label an item; undefined counts as a class of its own
 * @param fraction of the items to hold out, between 0 and 1
 * @returns indices of both parts, ascending
 * @throws Fc7Error USAGE_HOLDOUT
 */
export function stratifiedHoldout(
  labels: readonly (string | number | undefined)[],
  fraction: number,
  seed: number | string,
  groups?: readonly (string | undefined)[],
): { readonly train: number[]; readonly test: number[] } {
  if (!(fraction > 0 && fraction < 1)) {
    throw new Fc7Error('USAGE_HOLDOUT', `The part to hold out is ${fraction}; it must lie between 0 and 1.`, {
      hint: 'For example 0.2 for a fifth.',
    })
  }
  if (groups && groups.length !== labels.length) {
    throw new Fc7Error('USAGE_HOLDOUT', `There are ${groups.length} groups for ${labels.length} items.`, {
      hint: 'Give one group an item.',
    })
  }
  // Blocks are what moves together: a group, or an item by itself; they belong to the class of their first item.
  const blocks = new Map<string | number, number[]>()
  labels.forEach((_, i) => {
    const group = groups?.[i]
    const key = group === undefined ? i : `g${group}`
    const block = blocks.get(key)
    if (block) block.push(i)
    else blocks.set(key, [i])
  })
  const classes = new Map<string | number | undefined, number[][]>()
  for (const block of blocks.values()) {
    const label = labels[block[0]!]
    const known = classes.get(label)
    if (known) known.push(block)
    else classes.set(label, [block])
  }
  const random = createRandom(seed)
  const isTest = new Uint8Array(labels.length)
  for (const [label, members] of classes) {
    if (members.length < 2) continue
    const total = members.reduce((sum, block) => sum + block.length, 0)
    const wanted = Math.min(Math.max(1, Math.round(total * fraction)), total - 1)
    let taken = 0
    const take = (block: readonly number[]): void => {
      for (const i of block) isTest[i] = 1
      taken += block.length
    }
    for (const block of random.fork(typeof label === 'string' ? `s${label}` : `n${label}`).shuffled(members))
      if (taken + block.length <= wanted) take(block)
    if (taken === 0) take(members.reduce((small, block) => (block.length < small.length ? block : small)))
  }
  const train: number[] = []
  const test: number[] = []
  for (let i = 0; i < labels.length; i++) (isTest[i] ? test : train).push(i)
  return { train, test }
}
