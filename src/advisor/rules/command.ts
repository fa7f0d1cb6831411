import type { Advice } from './advice-file.js'
import type { Strategy } from './facts.js'
import { beginning } from './rules.js'

/** How commands name the images, the model (and the recipe, where one was chosen) and the store. */
export interface CommandWords {
  /** Whether the store holds more than the default layer, so that one must be named. */
  readonly severalLayers: boolean
  readonly images: string | null
  readonly model: readonly string[] | null
  readonly store: string
}

const quoted = (text: string): string => (/^[\w./@:+-]+$/.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`)

/** The command to run next, as a shell takes it. */
export function commandFor(
  strategy: Strategy,
  chosen: Pick<Advice['verdict'], 'layer' | 'freezeUntil' | 'augment'>,
  words: CommandWords,
): string {
  if (strategy === 'embeddings') {
    const layer = words.severalLayers ? ` --layer ${quoted(chosen.layer)}` : ''
    return `fc7 compare ${quoted(words.store)}${layer} --out comparison`
  }
  const images = words.images === null ? '<images>' : quoted(words.images)
  const model = words.model === null ? '<model>' : words.model.map(quoted).join(' --recipe ')
  const freeze = chosen.freezeUntil === null ? '' : ` --freeze-until ${quoted(chosen.freezeUntil)}`
  const name = strategy === 'all' ? beginning.all.strategy : strategy
  return (
    `fc7 finetune ${images} --model ${model} --strategy ` +
    `${name}${freeze}${chosen.augment || strategy === 'head' ? '' : ' --no-augment'} --out tuned`
  )
}
