import { expect, it } from '@jest/globals'
import { undocumented } from './documented.js'

it('finds the fields that docs/json.md does not tell of, beside its blocks and the short documents in its sentences', () => {
  const told = { ok: true, rows: 1, failures: 0, findings: [] }
  const of = (command: string, value: object) => undocumented(command.split(' '), JSON.stringify(value))
  expect(of('verify store --json', told)).toEqual([])
  expect(of('verify store --json', { ...told, more: 1 })).toEqual(['verify.more'])
  expect(of('models pull far --json', { id: 'far', path: [] })).toEqual(['models.path is a list'])
  expect(of('finetune photos --export-only --json', { out: 'x', files: [] })).toEqual([])
  expect(of('finetune photos --json', { out: 'x', files: [], more: 1 })).toEqual(['finetune.files', 'finetune.more'])
})
