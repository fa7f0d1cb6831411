import type { EmbeddingTable } from '../../embeddings/store/table.js'
import { itemsFingerprint, itemsOf } from '../plan/items.js'
import type { ComparisonTable } from '../plan/plan.js'
import { type DuplicateRule, defaultDuplicateRule, duplicateGroups, findDuplicates } from './duplicates.js'

/**
 * The table's own groups joined with those of near-duplicates: images connected through either form one group.
 *
 * @param twins group of near-duplicates by image id
 */
function joined(table: EmbeddingTable, twins: ReadonlyMap<string, string>): (string | null)[] {
  const parent = new Map<string, string>()
  const root = (key: string): string => {
    let at = key
    for (let up = parent.get(at); up !== undefined && up !== at; up = parent.get(at)) at = up
    return at
  }
  const keys = table.ids.map((id, row) => {
    const own = table.groups[row] === null ? undefined : `group ${table.groups[row]}`
    const twin = twins.has(id) ? `twin ${twins.get(id)}` : undefined
    if (own !== undefined && twin !== undefined && root(twin) !== root(own)) parent.set(root(twin), root(own))
    return own ?? twin
  })
  return keys.map((key) => (key === undefined ? null : root(key)))
}

/**
 * The tables with near-duplicate images in one group each, so that no fold, inner fold or bootstrap draw parts them.
 * Tables over the same images get the groups found on the first of them: they stay comparable pairwise.
 */
export async function groupDuplicates(
  tables: readonly ComparisonTable[],
  options: {
    readonly rule?: Partial<DuplicateRule> | undefined
    readonly threads?: number | undefined
    readonly signal?: AbortSignal | undefined
  } = {},
): Promise<{ readonly tables: ComparisonTable[]; readonly images: number }> {
  const rule = { ...defaultDuplicateRule, ...options.rule }
  const { threads = 1, signal } = options
  const known = new Map<string, ReadonlyMap<string, string>>()
  const grouped: ComparisonTable[] = []
  for (const input of tables) {
    const items = itemsOf(input.table)
    const fingerprint = itemsFingerprint(items)
    let twins = known.get(fingerprint)
    if (!twins) {
      const hashes = items.ids.map((id) => input.dHashes?.get(id))
      const { pairs } = await findDuplicates(input.table.x, input.table.dim, items.rows, hashes, {
        rule,
        threads,
        signal,
      })
      twins = duplicateGroups(items.ids, pairs)
      known.set(fingerprint, twins)
    }
    grouped.push({ ...input, table: { ...input.table, groups: joined(input.table, twins) } })
  }
  return { tables: grouped, images: [...known.values()].reduce((sum, twins) => sum + twins.size, 0) }
}
