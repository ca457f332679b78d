import type { Schema } from "../../api/client";
import { Icon, type IconName } from "../../parts/Icon";
import styles from "./Certificate.module.css";

const ICONS: Readonly<Record<Schema["Statement"]["standing"], [IconName, string]>> = {
  proven: ["review", "Proven"],
  warning: ["warning", "Look at this"],
  open: ["minus", "Not known"],
};

const ORDER = ["warning", "proven", "open"] as const;

/** What is proven of a dataset, what is not, and what to look at, in sentences. */
export function Certificate({ statements }: { statements: readonly Schema["Statement"][] }) {
  return (
    <div className={styles.certificate}>
      {ORDER.map((standing) => {
        const said = statements.filter((one) => one.standing === standing);
        if (said.length === 0) return null;
        const [icon, title] = ICONS[standing];
        return (
          <section key={standing} className={styles[standing]} aria-label={title}>
            <h3>{title}</h3>
            <ul>
              {said.map((one) => (
                <li key={one.text}>
                  <Icon name={icon} />
                  <span>{one.text}</span>
                </li>
              ))}
            </ul>
          </section>
        );
      })}
    </div>
  );
}
