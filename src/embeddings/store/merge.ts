import { copyFile, rename } from 'node:fs/promises'
import { Fc7Error } from '../../base/errors.js'
import { explainWriteError, sha256File, temporaryName } from '../../base/files.js'
import { finishStore, prepareOut } from './finish.js'
import { commitPath, type Manifest, shardPath, thumbsPath } from './layout.js'
import { readCommit, readPlan } from './store.js'

async function copyWhole(from: string, to: string, expected: string | null): Promise<void> {
  const temporary = temporaryName(to)
  try {
    await copyFile(from, temporary)
    if (expected !== null && (await sha256File(temporary)) !== expected) {
      throw new Fc7Error('STORE_BROKEN', `${from} does not have the sha256 of its commit file.`, {
        hint: 'Run `fc7 verify` on that store.',
      })
    }
    await rename(temporary, to)
  } catch (error) {
    throw error instanceof Fc7Error ? error : explainWriteError(error, to)
  }
}

/**
 * Joins part stores of one plan (made with `--shards n --shard i` into separate folders) into `out`. Each shard is
 * taken from the first store that has it; its hash is checked on the way.
 *
 * @returns the manifest, or null with the numbers of the shards that no store has
 * @throws Fc7Error MERGE_PLANS when the stores are of different plans
 */
export async function mergeStores(
  stores: readonly string[],
  out: string,
): Promise<{ readonly manifest: Manifest | null; readonly missing: readonly number[] }> {
  const plans = await Promise.all(
    stores.map(async (store) => {
      const held = await readPlan(store)
      if (!held)
        throw new Fc7Error('STORE_MISSING', `${store} is not a store: it has no plan.json.`, {
          hint: 'Name the part stores of one extraction.',
        })
      return held
    }),
  )
  const [first] = plans
  if (!first)
    throw new Fc7Error('USAGE_MERGE', 'No store to merge is named.', { hint: 'fc7 merge part0 part1 --out whole' })
  const other = plans.findIndex((held) => held.hash !== first.hash)
  if (other > 0) {
    throw new Fc7Error('MERGE_PLANS', `${stores[0]} and ${stores[other]} are of different plans.`, {
      hint: 'Only parts of one extraction (--shards n --shard i) can be joined.',
    })
  }
  await prepareOut(out, first.plan, false)
  const missing: number[] = []
  for (let i = 0; i < first.plan.shards.length; i++) {
    if (await readCommit(out, i, first.hash)) continue
    let found = false
    for (const store of stores) {
      const commit = await readCommit(store, i, first.hash)
      if (!commit) continue
      if (commit.thumbs !== null) await copyWhole(thumbsPath(store, i), thumbsPath(out, i), commit.thumbs)
      await copyWhole(shardPath(store, i), shardPath(out, i), commit.sha256)
      await copyWhole(commitPath(store, i), commitPath(out, i), null)
      found = true
      break
    }
    if (!found) missing.push(i)
  }
  return { manifest: missing.length > 0 ? null : await finishStore(out, first.plan, first.hash), missing }
}
