import { metricSpecs } from '../../evaluation/metrics/registry.js'
import type { LoadedEvaluation } from '../../evaluation/results/load.js'
import type { Difference, Evaluation } from '../../evaluation/results/schema.js'
import { candidatesOf, idOf } from './evaluated-candidates.js'
import { datasetsOf } from './evaluated-datasets.js'
import { guardsOf } from './evaluated-guards.js'
import type { ReportInput, ReportMetric } from './input.js'

/** Metrics that are shares and print as percentages. */
const shares = new Set(['accuracy', 'mean-class-accuracy', 'macro-f1', 'weighted-f1', 'top-3', 'top-5'])
const testTitles: Record<Difference['test'], string> = {
  'mcnemar-mid-p': 'McNemar, mid-p',
  'corrected-resampled-t': 'corrected resampled t',
  'paired-bootstrap': 'paired bootstrap',
  none: 'not tested',
}

/**
 * The report's input from an evaluation and the stores that it names. A store that is gone or damaged costs the images
 * and the map, and the report says so; everything else comes from the evaluation itself.
 */
export async function reportFromEvaluation(loaded: LoadedEvaluation): Promise<ReportInput> {
  const { evaluation } = loaded
  const missing: string[] = []
  const datasets = await datasetsOf(loaded, missing)
  const format = (id: string): ReportMetric['format'] => (shares.has(id) ? 'percent' : 'number')
  const names = evaluation.datasets.map(({ name }) => name)
  return {
    title:
      `${names.join(', ')}: ${evaluation.trainers.length} trainer${evaluation.trainers.length === 1 ? '' : 's'} ` +
      'compared',
    ...(evaluation.provenance.created === null ? {} : { created: evaluation.provenance.created }),
    datasets,
    candidates: candidatesOf(loaded),
    primaryMetric: evaluation.metric,
    metrics: metricSpecs
      .filter(({ id }) => id === evaluation.metric || evaluation.results.some((r) => r.metrics[id].value !== null))
      .map(({ id, title, better }) => ({ id, title, higherIsBetter: better === 'higher', format: format(id) })),
    comparisons: evaluation.differences
      .filter(({ p }) => p !== null)
      .map((one) => ({
        a: idOf(one.better),
        b: idOf(one.worse),
        metric: evaluation.metric,
        // The record's difference is never negative in the metric's own sense; the report's is plainly a − b.
        ...signed(one, metricSpecs.find(({ id }) => id === evaluation.metric)!.better === 'lower'),
        p: one.p!,
        pAdjusted: one.adjusted ?? one.p!,
        holds: one.holds,
        test: testTitles[one.test],
      })),
    testName: 'Each pair on the same images; p adjusted after Holm within a data set; a difference holds below 0.05',
    sentences: evaluation.words,
    protocol: evaluation.datasets.map(({ name, protocolText }) =>
      names.length > 1 ? `${name}: ${protocolText}` : protocolText,
    ),
    warnings: [
      ...(evaluation.guards?.warnings ?? []).map(({ text }) => ({ level: 'warning' as const, text })),
      ...missing.map((text) => ({ level: 'note' as const, text })),
    ],
    ...guardsOf(loaded),
    provenance: provenanceOf(evaluation),
  }
}

function signed(
  one: Difference,
  lowerIsBetter: boolean,
): { difference: number; low?: number | undefined; high?: number | undefined } {
  const { difference, low, high } = one
  if (low === null || high === null) return { difference: lowerIsBetter ? -difference : difference }
  return lowerIsBetter ? { difference: -difference, low: -high, high: -low } : { difference, low, high }
}

function provenanceOf(evaluation: Evaluation): ReportInput['provenance'] {
  const { command, experiment, versions, machine } = evaluation.provenance
  return {
    ...(command === null ? {} : { command }),
    ...(experiment === null ? {} : { experiment }),
    seed: String(evaluation.seed),
    versions: versions.map(([name, value]) => ({ name, value })),
    hashes: [
      { name: 'plan of the comparison', value: evaluation.plan },
      ...evaluation.datasets.map(({ name, fingerprint }) => ({ name: `data set ${name}`, value: fingerprint })),
      ...evaluation.tables.flatMap(({ store }) =>
        store ? [{ name: `store of ${store.backbone} (${store.recipe})`, value: store.planHash }] : [],
      ),
    ],
    machine: machine.map(([name, value]) => ({ name, value: String(value) })),
  }
}
