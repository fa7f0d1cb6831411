import { describe, expect, it } from '@jest/globals'
import type { EmbeddingTable } from '../../src/embeddings/store/table.js'
import { trainingSetOf } from '../../src/trainers/training-set.js'

const table: EmbeddingTable = {
  layer: 'fc7',
  rows: 6,
  dim: 1,
  x: Float32Array.of(0, 1, 2, 3, 4, 5),
  ids: ['a', 'a#v1', 'b', 'c', 'd', 'e'],
  paths: ['a', 'a', 'b', 'c', 'd', 'e'],
  labels: ['y', 'y', 'x', null, 'x', 'y'],
  splits: ['train', 'train', 'train', 'train', 'test', 'val'],
  groups: [null, null, 'patient', null, null, null],
  views: Uint16Array.of(0, 1, 0, 0, 0, 0),
  classes: ['y', 'x'],
}

describe('trainingSetOf', () => {
  it('takes the labelled rows of the train split, an image and its views as one group', () => {
    const { set, split, rows } = trainingSetOf(table)
    expect([split, rows, [...set.x.data], [...set.y]]).toEqual(['train', [0, 1, 2], [0, 1, 2], [0, 0, 1]])
    expect(set.groups).toEqual(['image a', 'image a', 'patient'])
  })

  it('takes the split that is asked for, everything where there is no train split, and refuses an empty one', () => {
    expect(trainingSetOf(table, 'val').rows).toEqual([5])
    const whole = { ...table, splits: table.splits.map(() => null) }
    expect(trainingSetOf(whole).rows).toEqual([0, 1, 2, 4, 5])
    expect(() => trainingSetOf(whole, 'test')).toThrow(expect.objectContaining({ code: 'SPLIT_EMPTY' }))
  })
})
