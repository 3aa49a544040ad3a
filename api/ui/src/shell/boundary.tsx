import { Component, type ReactNode } from 'react'
import { Problem } from '../components/bits'

/** A page that fails says so and leaves the others alone. */
export class Boundary extends Component<{ children: ReactNode }, { error: Error | null }> {
  override state = { error: null as Error | null }
  static getDerivedStateFromError(error: Error) {
    return { error }
  }
  override render() {
    return this.state.error ? <Problem error={this.state.error} /> : this.props.children
  }
}
