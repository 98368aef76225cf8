//! Why a database was not taken, or cannot be read. What was in force stays in force.

use chiron_storage::DbError;
use jiff::Timestamp;

use crate::verify::advisories::SignalError;

/// Why a load was refused or broke off. The database in force is the one from before, whole.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No record about a package of the index was in it, and none is in force that other files could be added to.
    #[error(
        "{source_name} holds no advisory about a PyPI package ({documents} documents were looked at); an empty database is not put in force"
    )]
    Empty {
        /// What was loaded.
        source_name: String,
        /// Documents that were looked at.
        documents: u64,
    },
    /// Older than the one in force.
    #[error(
        "{source_name} is of {offered}, older than the database in force, of {in_force}; --allow-older takes it all the same"
    )]
    Older {
        /// What was loaded.
        source_name: String,
        /// Its newest change.
        offered: Timestamp,
        /// The newest change of the one in force.
        in_force: Timestamp,
    },
    /// Every record is dated in the future, so nobody can say how old the database is.
    #[error("every record of {source_name} was changed in the future; is the clock of this machine right?")]
    Future {
        /// What was loaded.
        source_name: String,
    },
    /// The archive or file does not read to its end.
    #[error("{source_name} cannot be read to its end: {why}; nothing was changed")]
    Damaged {
        /// The archive, file or entry.
        source_name: String,
        /// What is wrong with it.
        why: String,
    },
    /// Over a bound of `[advisories]`.
    #[error("{source_name} is over {limit} = {bound}; nothing was changed")]
    TooLarge {
        /// The archive, file or entry.
        source_name: String,
        /// The key of the bound.
        limit: &'static str,
        /// Its value.
        bound: u64,
    },
    /// A KEV or EPSS list that cannot be read whole.
    #[error("{source_name} {why}; nothing was changed")]
    Signals {
        /// The file or entry.
        source_name: String,
        /// What is wrong with it.
        why: SignalError,
    },
    /// Another load is under way.
    #[error("another database is being loaded; wait for it to end")]
    Busy,
    /// Another load was put in force first.
    #[error("another database was put in force meanwhile; load this one again")]
    Overtaken,
    /// The tables did not take it.
    #[error(transparent)]
    Db(#[from] DbError),
    /// A thread was lost: a defect of ours, or the process is stopping.
    #[error("the load broke off; nothing was changed")]
    Lost,
}
