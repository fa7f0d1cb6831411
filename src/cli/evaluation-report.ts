import { loadEvaluation } from '../evaluation/results/load.js'
import { reportFromEvaluation } from '../report/data/from-evaluation.js'
import { type ReportOptions, type WrittenReport, writeReport } from '../report/report.js'

/** The report of an evaluation folder, written to `path` (.html) with .md and .json beside it. */
export async function writeEvaluationReport(
  folder: string,
  path: string,
  options: ReportOptions,
): Promise<WrittenReport> {
  return writeReport(await reportFromEvaluation(await loadEvaluation(folder)), path, options)
}
