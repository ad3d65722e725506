//! After a crash: what the dead process had taken is free again at once.

use crate::database::sql;
use crate::error::StoreError;
use crate::open::Store;

impl Store {
    /// Ends the leases of planners, judges and posters, so that their work need not wait for them
    /// to run out. Only for a process that knows itself to be the only App on this database. The
    /// leases of runners stay: they work on while an App is away.
    pub async fn take_over(&self) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        sql("UPDATE deliveries SET lease_until = 0 WHERE state = 'pending' AND lease_until > 0")
            .execute(&mut tx)
            .await?;
        sql("UPDATE jobs SET judge_until = 0 WHERE state = 'reported' AND judge_until > 0")
            .execute(&mut tx)
            .await?;
        sql("UPDATE outbox SET lease_until = 0 WHERE done < wanted AND lease_until > 0")
            .execute(&mut tx)
            .await?;
        tx.commit(&self.hints).await
    }
}
