import type { InfiniteData, UseInfiniteQueryResult } from '@tanstack/react-query'
import { useMemo } from 'react'
import { Waiting } from './bits'
import { type Column, Table } from './table'

interface Props<P, T> {
  label: string
  what: string
  list: UseInfiniteQueryResult<InfiniteData<P>>
  rowsOf: (page: P) => T[]
  columns: Column<T>[]
  rowKey: (row: T) => string
  empty: string
}

/** A table that is read on page by page, newest first. */
export function Growing<P, T>({ label, what, list, rowsOf, columns, rowKey, empty }: Props<P, T>) {
  const rows = useMemo(() => list.data?.pages.flatMap(rowsOf), [list.data, rowsOf])
  if (rows === undefined) return <Waiting what={what} error={list.error} />
  return (
    <>
      <Table label={label} rows={rows} columns={columns} rowKey={rowKey} sort="" empty={empty} />
      <More list={list} />
    </>
  )
}

/** The button that reads the next page, where there is one. */
export function More({ list }: { list: Pick<UseInfiniteQueryResult, 'hasNextPage' | 'isFetchingNextPage' | 'fetchNextPage'> }) {
  if (!list.hasNextPage) return null
  return (
    <button type="button" className="more" disabled={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>
      {list.isFetchingNextPage ? 'Reading …' : 'Show more'}
    </button>
  )
}
