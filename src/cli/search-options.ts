import type { Argv } from 'yargs'
import { z } from 'zod'
import { Fc7Error } from '../base/errors.js'
import type { TuneOptions } from '../evaluation/plan/tuning-plan.js'

/** Options of every command that searches hyper-parameters; `what` says which, and where. */
export const searchOptions = <T>(yargs: Argv<T>, what: string) =>
  yargs
    .option('tune', { type: 'boolean', describe: what })
    .option('search', { choices: ['grid', 'random'] as const, describe: 'How --tune searches (default grid)' })
    .option('candidates', { type: 'number', describe: 'Of a random search, and the most of a grid (default 30)' })
    .option('inner-folds', { type: 'number', describe: 'Inner folds of the search (default 3)' })

interface SearchChoices {
  readonly tune?: boolean | undefined
  readonly search?: 'grid' | 'random' | undefined
  readonly candidates?: number | undefined
  readonly innerFolds?: number | undefined
}

const howSchema = z.object({ candidates: z.int().min(2).max(10_000), innerFolds: z.int().min(2).max(100) }).partial()

/** What they ask for; saying how to search asks for a search. @throws Fc7Error USAGE_TUNE */
export function searchOf({ tune, search, candidates, innerFolds }: SearchChoices): TuneOptions | undefined {
  const parsed = howSchema.safeParse({ candidates, innerFolds })
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    const name = issue?.path[0] === 'candidates' ? 'candidates' : 'inner-folds'
    throw new Fc7Error('USAGE_TUNE', `--${name} does not take ${name === 'candidates' ? candidates : innerFolds}.`, {
      hint: 'Whole numbers: 2 candidates or more, from 2 to 100 inner folds.',
    })
  }
  const asked = tune || search !== undefined || candidates !== undefined || innerFolds !== undefined
  return asked ? { search, candidates, innerFolds } : undefined
}
