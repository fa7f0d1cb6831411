import type { Advice } from './advice.js'
import type { Strategy } from './rules.js'

/** How commands name the pictures, the model (and the recipe, where one was chosen) and the store. */
export interface CommandWords {
  readonly pictures: string | null
  readonly model: readonly string[] | null
  readonly store: string
}

const quoted = (text: string): string => (/^[\w./@:+-]+$/.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`)

/** The command to run next, as a shell takes it. */
export function commandFor(
  strategy: Strategy,
  chosen: Pick<Advice['verdict'], 'layer' | 'freezeUntil' | 'augment'>,
  words: CommandWords,
  several: boolean,
): string {
  if (strategy === 'embeddings')
    return `fc7 compare ${quoted(words.store)}${several ? ` --layer ${quoted(chosen.layer)}` : ''} --out comparison`
  const pictures = words.pictures === null ? '<pictures>' : quoted(words.pictures)
  const model = words.model === null ? '<model>' : words.model.map(quoted).join(' --recipe ')
  const freeze = chosen.freezeUntil === null ? '' : ` --freeze-until ${quoted(chosen.freezeUntil)}`
  // Kumar 2022 (arXiv 2202.10054): head first, then all, keeps what the pretrained features know.
  const name = strategy === 'all' ? 'lp-ft' : strategy
  return `fc7 finetune ${pictures} --model ${model} --strategy ${name}${freeze}${chosen.augment || strategy === 'head' ? '' : ' --no-augment'} --out tuned`
}
