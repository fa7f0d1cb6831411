import { fileURLToPath } from 'node:url'
import { describe, expect, it } from '@jest/globals'
import { missingTypes, withoutExample } from '../support/declarations.js'

const built = (path: string): string => fileURLToPath(new URL(`../../dist/${path}`, import.meta.url))

describe('what a user of the library can name', () => {
  it('is every type that a public signature names, and none is onnxruntime’s, Arrow’s or sharp’s', () => {
    // Names end at zod's `infer`, which writes types of schemas, and at the messages of ONNX's own schema.
    const missing = missingTypes(built('index.d.ts')).filter((line) => !/ zod#z$|Proto$|^ModelProto →/.test(line))
    expect(missing).toEqual([])
  })

  it('would be too little with the functions alone', () => {
    expect(missingTypes(built('api/index.d.ts'))).toContain('train → TrainOptions')
  })
})

it('every exported function shows an example', () => {
  expect(withoutExample(built('index.d.ts'))).toEqual([])
})
