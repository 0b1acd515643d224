//! Which indexes SQLite goes by. It knows nothing of how full the tables are: what it chooses here, it chooses always.

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use diesel::prelude::*;
    use diesel::query_builder::QueryFragment;
    use diesel::sql_types::Text;
    use diesel::sqlite::Sqlite;

    use super::super::release::waiting;
    use super::super::spreading::{everybody, sockets};
    use crate::store::watching::{backlog, failed};
    use crate::store::{DatabaseUrl, migrate, sqlite};

    #[derive(QueryableByName)]
    struct Step {
        #[diesel(sql_type = Text)]
        detail: String,
    }

    /// An empty database.
    struct Empty {
        home: tempfile::TempDir,
    }

    impl Empty {
        fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            let made = Self { home };
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(migrate(&DatabaseUrl::Sqlite(made.file()))).unwrap();
            made
        }

        fn file(&self) -> std::path::PathBuf {
            self.home.path().join("plans.db")
        }

        fn plan(&self, query: &impl QueryFragment<Sqlite>) -> String {
            let text = diesel::debug_query::<Sqlite, _>(query).to_string();
            let text = text.split(" -- binds").next().unwrap().to_owned();
            let mut connection = sqlite::open_writer(&self.file()).unwrap();
            let steps: Vec<Step> =
                diesel::sql_query(format!("EXPLAIN QUERY PLAN {text}")).load(&mut connection).unwrap();
            steps.into_iter().map(|step| step.detail + "\n").collect()
        }
    }

    #[test]
    fn what_waits_for_the_end_of_quiet_hours_is_found_without_the_rest_of_the_inbox() {
        let plan = Empty::new().plan(&waiting(1));
        assert_eq!(plan, "SEARCH inbox USING COVERING INDEX inbox_quiet (recipient_id=?)\n");
    }

    #[test]
    fn who_comes_next_in_a_broadcast_is_found_without_the_rest_of_the_tenant() {
        let plan = Empty::new().plan(&everybody("tenant", 7).limit(256));
        assert_eq!(plan, "SEARCH recipients USING INDEX recipients_tenant (<expr>=? AND id>?)\n");
    }

    #[test]
    fn who_of_a_tenant_is_connected_is_found_without_the_others() {
        let plan = Empty::new().plan(&sockets("tenant", "socket").limit(256));
        assert!(plan.contains("connections_tenant (tenant=? AND socket_id>?)"), "{plan}");
        assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{plan}");
    }

    #[test]
    fn what_waits_is_counted_without_what_is_done() {
        let empty = Empty::new();
        let plan = empty.plan(&diesel::sql_query(backlog()));
        for index in [
            "deliveries_due (channel=? AND due_at<?)",
            "deliveries_due (channel=? AND due_at>?)",
            "expansions_unfinished",
        ] {
            assert!(plan.contains(index), "{plan}");
        }
        assert!(plan.contains("webhook_messages USING INDEX webhook_messages_due"), "{plan}");
        assert!(!plan.contains("SCAN deliveries") && !plan.contains("SCAN expansions"), "{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
        let plan = empty.plan(&diesel::sql_query(failed()));
        assert!(plan.contains("deliveries_failed (tenant=?)"), "{plan}");
    }
}
