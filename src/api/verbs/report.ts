import { join } from 'node:path'
import { loadEvaluation } from '../../evaluation/results/load.js'
import { isTraining, readTraining } from '../../finetune/result/record.js'
import { reportFromEvaluation } from '../../report/data/from-evaluation.js'
import { curvesName, writeTraining } from '../../report/pages/training-page.js'
import { writeReport } from '../../report/report.js'
import { type CommonOptions, contextOf } from '../shared/context.js'

export interface ReportOptions extends CommonOptions {
  /** Evaluation folder, or that of a fine-tuning. */
  readonly evaluation: string
  /** HTML file to write. Default: report.html (curves.html) in the folder. */
  readonly out?: string | undefined
  readonly threads?: number | undefined
}

export interface ReportResult {
  readonly html: string
  /** null for a fine-tuning, whose page has no twins. */
  readonly markdown: string | null
  readonly json: string | null
}

/** Writes the page of an evaluation (and its Markdown and JSON), or the curves of a fine-tuning. */
export async function report(options: ReportOptions): Promise<ReportResult> {
  const { seed, signal, progress } = contextOf(options)
  const { evaluation, out, threads } = options
  if (await isTraining(evaluation)) {
    const html = out ?? join(evaluation, curvesName)
    await writeTraining(await readTraining(evaluation), html)
    return { html, markdown: null, json: null }
  }
  const input = await reportFromEvaluation(await loadEvaluation(evaluation))
  return writeReport(input, out ?? join(evaluation, 'report.html'), { seed, signal, progress, threads })
}
