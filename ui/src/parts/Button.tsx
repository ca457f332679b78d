import type { ComponentProps } from "react";
import styles from "./Button.module.css";
import { Icon, type IconName } from "./Icon";

type Props = ComponentProps<"button"> & {
  kind?: "normal" | "primary" | "danger" | "quiet";
  icon?: IconName;
  busy?: boolean;
};

/** A button. While `busy` it can be focused but does nothing. */
export function Button({
  kind = "normal",
  icon,
  busy = false,
  children,
  onClick,
  className = "",
  ...rest
}: Props) {
  return (
    <button
      type="button"
      {...rest}
      className={`${styles.button} ${styles[kind]} ${className}`}
      aria-disabled={busy || undefined}
      onClick={busy ? undefined : onClick}
    >
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
}
