import { Component, type ReactNode } from "react";
import { Failed } from "../parts/Failed";

type Props = { children: ReactNode };

/** Shows what went wrong in a page, and leaves the rest of the frame working. */
export class Boundary extends Component<Props, { error: unknown }> {
  state = { error: null as unknown };

  static getDerivedStateFromError(error: unknown) {
    return { error };
  }

  render() {
    if (this.state.error === null) return this.props.children;
    return <Failed error={this.state.error} retry={() => this.setState({ error: null })} />;
  }
}
