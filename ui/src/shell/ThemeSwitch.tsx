import { useEffect, useState } from "react";
import { Icon } from "../parts/Icon";
import styles from "./ThemeSwitch.module.css";

type Theme = "system" | "light" | "dark";
const ORDER: readonly Theme[] = ["system", "light", "dark"];
const KEY = "regraft.theme";

function stored(): Theme {
  const found = localStorage.getItem(KEY);
  return found === "light" || found === "dark" ? found : "system";
}

/** Light, dark, or as the system is. Kept in this browser. */
export function ThemeSwitch() {
  const [theme, setTheme] = useState<Theme>(stored);
  useEffect(() => {
    if (theme === "system") {
      delete document.documentElement.dataset.theme;
      localStorage.removeItem(KEY);
    } else {
      document.documentElement.dataset.theme = theme;
      localStorage.setItem(KEY, theme);
    }
  }, [theme]);
  const following = ORDER[(ORDER.indexOf(theme) + 1) % ORDER.length] ?? "system";
  return (
    <button
      type="button"
      className={styles.switch}
      title={`Change to ${following}`}
      onClick={() => setTheme(following)}
    >
      <Icon name={theme === "dark" ? "moon" : theme === "light" ? "sun" : "half"} />
      <span className={styles.word}>Theme: {theme}</span>
    </button>
  );
}
