import { memo } from 'react'
import { visible } from '../lib/visible'

/** A name that somebody else chose: it does not turn its neighbours round, and shows what is hidden in it. */
export const Name = memo(function Name({ of }: { of: string }) {
  return <bdi>{visible(of)}</bdi>
})
