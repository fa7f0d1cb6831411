import { access, readFile } from 'node:fs/promises'
import { Fc7Error } from '../base/errors.js'
import { sha256, writeFileAtomic, writeJsonAtomic } from '../base/files.js'
import type { RunResult } from '../runtime/protocol.js'
import { decodeArrow, encodeShard, encodeThumbs, textValues } from './arrow.js'
import type { Decoded, ExtractionItem } from './extract.js'
import { type Commit, commitPath, type Failure, shardPath, thumbsPath } from './layout.js'
import { type ExtractionPlan, shardRange } from './plan.js'
import { readCommit } from './store.js'

export interface FinishedItem {
  readonly item: ExtractionItem
  readonly decoded: Decoded
}

function countInOrder(values: readonly (string | null)[]): [string | null, number][] {
  const counts = new Map<string | null, number>()
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  return [...counts]
}

/**
 * Writes a shard: thumbnails, then the Arrow file, then the commit file that makes it done. Each has its final name only once
 * it is whole.
 */
export async function commitShard(
  out: string,
  plan: ExtractionPlan,
  planHash: string,
  i: number,
  batches: readonly { readonly items: readonly FinishedItem[]; readonly result: RunResult }[],
): Promise<void> {
  const all = batches.flatMap((batch) => batch.items)
  const good = all
    .filter(({ decoded }) => decoded.ok)
    .map(({ item, decoded }) => ({ item, decoded: decoded as Decoded & { ok: true } }))
  const layers = plan.layers.map(({ name, dim }) => {
    const values = new Float32Array(good.length * dim)
    let at = 0
    for (const { items, result } of batches) {
      const output = result.outputs.find((candidate) => candidate.name === `layer:${name}`)
      if (!output) {
        if (items.some(({ decoded }) => decoded.ok))
          throw new Fc7Error('GRAPH_OUTPUT', `The extraction graph gave no output for layer "${name}".`, {
            hint: 'This is a defect of fc7.',
          })
        continue
      }
      items.forEach(({ decoded }, row) => {
        if (!decoded.ok) return
        values.set(output.data.subarray(row * dim, (row + 1) * dim), at)
        at += dim
      })
    }
    return { name, dim, values }
  })
  const shard = encodeShard(
    {
      ids: good.map(({ item }) => item.id),
      paths: good.map(({ item }) => item.path),
      labels: good.map(({ item }) => item.label),
      splits: good.map(({ item }) => item.split),
      groups: good.map(({ item }) => item.group),
      views: new Uint16Array(good.length),
      hashes: good.map(({ decoded }) => decoded.sha256),
      layers,
    },
    planHash,
    plan.precision,
  )
  let thumbs: string | null = null
  if (plan.thumbs) {
    const rows = good.map(({ item, decoded }) => ({
      id: item.id,
      webp: decoded.webp ?? new Uint8Array(0),
      dHash: decoded.dHash ?? '',
    }))
    const bytes = encodeThumbs(rows, planHash)
    thumbs = sha256(bytes)
    await writeFileAtomic(thumbsPath(out, i), bytes)
  }
  await writeFileAtomic(shardPath(out, i), shard)
  const failures: Failure[] = all.flatMap(({ item, decoded }) =>
    decoded.ok ? [] : [{ id: item.id, path: item.path, code: decoded.code, message: decoded.message }],
  )
  const commit: Commit = {
    plan: planHash,
    rows: good.length,
    failures,
    sha256: sha256(shard),
    thumbs,
    labels: countInOrder(good.map(({ item }) => item.label)),
    splits: countInOrder(good.map(({ item }) => item.split)),
  }
  await writeJsonAtomic(commitPath(out, i), commit)
}

/**
 * The commit of a shard that is done, or undefined. A whole Arrow file whose process died before the commit is adopted: it must
 * be of this plan and hold a row for every item (with fewer, the failures are not known, and it is computed again).
 */
export async function shardState(
  out: string,
  plan: ExtractionPlan,
  planHash: string,
  i: number,
): Promise<Commit | undefined> {
  const commit = await readCommit(out, i, planHash)
  const path = shardPath(out, i)
  if (commit) {
    return access(path).then(
      () => commit,
      () => undefined,
    )
  }
  try {
    const bytes = await readFile(path)
    const table = decodeArrow(bytes)
    const { start, end } = shardRange(plan, i)
    if (table.schema.metadata.get('fc7.plan') !== planHash || table.numRows !== end - start) return undefined
    let thumbs: string | null = null
    if (plan.thumbs) {
      const thumbBytes = await readFile(thumbsPath(out, i))
      const thumbTable = decodeArrow(thumbBytes)
      if (thumbTable.schema.metadata.get('fc7.plan') !== planHash || thumbTable.numRows !== table.numRows)
        return undefined
      thumbs = sha256(thumbBytes)
    }
    const adopted: Commit = {
      plan: planHash,
      rows: table.numRows,
      failures: [],
      sha256: sha256(bytes),
      thumbs,
      labels: countInOrder(textValues(table, 'label')),
      splits: countInOrder(textValues(table, 'split')),
    }
    await writeJsonAtomic(commitPath(out, i), adopted)
    return adopted
  } catch {
    return undefined
  }
}

/** Which shards of a plan are done in a folder; none where the folder holds something else. */
export async function planStatus(out: string, plan: ExtractionPlan, planHash: string): Promise<number[]> {
  const commits = await Promise.all(plan.shards.map((_, i) => readCommit(out, i, planHash)))
  return plan.shards.map((_, i) => i).filter((i) => commits[i] !== undefined)
}
