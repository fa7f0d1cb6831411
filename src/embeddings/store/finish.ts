import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Fc7Error, systemCode } from '../../base/errors.js'
import { explainWriteError, makeFolder, writeFileAtomic, writeJsonAtomic } from '../../base/files.js'
import { versions } from '../../base/versions.js'
import { type Commit, failuresPath, type Manifest, manifestPath, ownFile, planPath, shardPath } from './layout.js'
import { type ExtractionPlan, encodePlan, planDifferences } from './plan.js'
import { readCommit, readPlan } from './store.js'

/**
 * Makes `out` the folder of this plan: a new one, or the same plan begun before. With `force`, the files of another
 * store are deleted first, and nothing but those.
 *
 * @throws Fc7Error OUT_OTHER_PLAN, OUT_NOT_A_STORE, WRITE_…
 */
export async function prepareOut(out: string, plan: ExtractionPlan, force: boolean): Promise<void> {
  const { text, hash } = encodePlan(plan)
  let names: string[] = []
  try {
    names = await readdir(out)
  } catch (error) {
    if (systemCode(error) === 'ENOTDIR')
      throw new Fc7Error('OUT_NOT_A_STORE', `${out} is a file, not a folder.`, { hint: 'Name another --out.' })
    if (systemCode(error) !== 'ENOENT') throw explainWriteError(error, out)
  }
  const held = await readPlan(out).catch((error) => {
    if (force) return undefined
    throw error
  })
  if (held?.hash === hash) return
  const foreign = names.filter((name) => !ownFile.test(name))
  if (held && !force) {
    throw new Fc7Error(
      'OUT_OTHER_PLAN',
      `${out} already holds a store made with another ${planDifferences(plan, held.plan).join(', ')}.`,
      {
        hint: 'Name another --out, or replace that store with --force.',
      },
    )
  }
  if (!held && foreign.length > 0) {
    throw new Fc7Error(
      'OUT_NOT_A_STORE',
      `${out} exists and is not a store: it holds ${foreign[0]}` +
        `${foreign.length > 1 ? ` and ${foreign.length - 1} more` : ''}.`,
      {
        hint: 'Name another --out; fc7 writes only into an empty or new folder.',
      },
    )
  }
  // The manifest goes first: a store without it does not look finished, whatever else is still there.
  for (const name of names
    .filter((name) => ownFile.test(name))
    .sort((a, b) => Number(b === 'manifest.json') - Number(a === 'manifest.json'))) {
    await rm(join(out, name), { force: true })
  }
  await makeFolder(out)
  await writeFileAtomic(planPath(out), text)
}

function addCounts(into: Map<string | null, number>, counts: Commit['labels']): void {
  for (const [name, count] of counts) into.set(name, (into.get(name) ?? 0) + count)
}

/** Writes failures.jsonl and the manifest once every shard of the plan is done; null while one is missing. */
export async function finishStore(out: string, plan: ExtractionPlan, planHash: string): Promise<Manifest | null> {
  const commits: Commit[] = []
  for (let i = 0; i < plan.shards.length; i++) {
    const commit = await readCommit(out, i, planHash)
    const present = commit && (await stat(shardPath(out, i)).catch(() => undefined))
    if (!commit || !present) return null
    commits.push(commit)
  }
  const labels = new Map<string | null, number>()
  const splits = new Map<string | null, number>()
  for (const commit of commits) {
    addCounts(labels, commit.labels)
    addCounts(splits, commit.splits)
  }
  const failures = commits.flatMap((commit) => commit.failures)
  await writeFileAtomic(failuresPath(out), failures.map((failure) => `${JSON.stringify(failure)}\n`).join(''))
  const manifest: Manifest = {
    format: 1,
    plan: planHash,
    dataset: plan.dataset,
    backbone: plan.backbone,
    layers: plan.layers.map(({ name, dim }) => ({ name, dim })),
    rows: commits.reduce((sum, commit) => sum + commit.rows, 0),
    failures: failures.length,
    classes: [...labels.keys()].filter((name) => name !== null),
    labels: [...labels],
    splits: [...splits],
    shards: commits.map((commit, i) => ({ file: shardPath('', i), rows: commit.rows, sha256: commit.sha256 })),
    versions: versions(),
  }
  await writeJsonAtomic(manifestPath(out), manifest)
  // What a killed process left under temporary names: every shard has its final name by now. The manifest's temporary
  // file stays, because another process may be writing it.
  for (const name of await readdir(out))
    if (/^\.(shard|thumbs)-/.test(name) && ownFile.test(name)) await rm(join(out, name), { force: true })
  return manifest
}
