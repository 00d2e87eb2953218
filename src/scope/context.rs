//! The keys that a thread holds for the task that it runs.

use std::cell::RefCell;
use std::mem::{swap, take};
use std::sync::Arc;

use tokio::task::{Id, try_id};

use crate::{AffinityKey, ParentKey};

thread_local! {
    static CURRENT: RefCell<Context> = const { RefCell::new(Context::NONE) };
}

/// The keys of a scope, and the task that is in it.
#[derive(Debug)]
struct Context {
    // A thread in a scope can run other tasks: those of a `LocalSet`, or of a runtime that it blocks on.
    // `None` stands for code outside every task, on a plain thread or in `block_on`.
    task: Option<Id>,
    key: Option<AffinityKey>,
    // It is rare, so it is kept small: each poll moves a context twice.
    parent: Option<Arc<ParentKey>>,
}

/// A scope that is entered for each poll.
#[derive(Debug)]
pub(super) struct Scope {
    // What the scope sets, or what it hides while it is entered.
    context: Context,
    sets: Sets,
}

/// The keys that a scope sets; it inherits the rest from the scope around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sets {
    Key,
    Parent,
    Both,
}

/// Leaves the scope when it is dropped.
pub(super) struct Entered<'a>(&'a mut Scope);

impl Context {
    const NONE: Self = Self {
        task: None,
        key: None,
        parent: None,
    };

    /// Reads the context of the running task, if the task is in a scope.
    #[inline]
    fn read<T>(read: impl FnOnce(&Self) -> Option<T>) -> Option<T> {
        let of_task = |context: &RefCell<Self>| {
            let context = context.borrow();
            if context.task == try_id() {
                read(&context)
            } else {
                None
            }
        };
        // The locals of a thread that is ending may be gone.
        CURRENT.try_with(of_task).ok().flatten()
    }
}

impl Scope {
    /// Makes a scope that sets the key. If there is none, the scope has no parent either.
    pub(super) fn with_key(key: Option<AffinityKey>) -> Self {
        let sets = if key.is_some() { Sets::Key } else { Sets::Both };
        Self {
            context: Context {
                key,
                ..Context::NONE
            },
            sets,
        }
    }

    pub(super) fn with_parent(parent: ParentKey) -> Self {
        Self {
            context: Context {
                parent: Some(Arc::new(parent)),
                ..Context::NONE
            },
            sets: Sets::Parent,
        }
    }

    pub(super) fn with_both(key: Option<AffinityKey>, parent: Option<ParentKey>) -> Self {
        Self {
            context: Context {
                key,
                parent: parent.map(Arc::new),
                ..Context::NONE
            },
            sets: Sets::Both,
        }
    }

    /// Copies the scope that the call is made in, even one without a key.
    pub(super) fn current() -> Self {
        let both = Context::read(|context| Some((context.key.clone(), context.parent.clone())));
        let (key, parent) = both.unwrap_or_default();
        Self {
            context: Context {
                key,
                parent,
                ..Context::NONE
            },
            sets: Sets::Both,
        }
    }

    /// Enters the scope for the running task, until the guard is dropped.
    #[inline]
    pub(super) fn enter(&mut self) -> Entered<'_> {
        self.context.task = try_id();
        self.exchange();
        Entered(self)
    }

    /// Exchanges what the scope sets for what the thread holds; a second call reverses the first.
    #[inline]
    fn exchange(&mut self) {
        let with_thread = |thread: &RefCell<Context>| {
            let (ours, theirs) = (&mut self.context, &mut *thread.borrow_mut());
            // Nothing is inherited from a different task's scope.
            let sets = if ours.task == theirs.task {
                self.sets
            } else {
                Sets::Both
            };
            swap(&mut ours.task, &mut theirs.task);
            if sets != Sets::Parent {
                swap(&mut ours.key, &mut theirs.key);
            }
            if sets != Sets::Key {
                swap(&mut ours.parent, &mut theirs.parent);
            }
        };
        // If the locals of a thread that is ending are gone, its code runs outside every scope.
        let _ = CURRENT.try_with(with_thread);
    }

    /// Moves the scope out, and leaves one without keys.
    pub(super) fn take(&mut self) -> Self {
        Self {
            context: Context {
                key: self.context.key.take(),
                parent: take(&mut self.context.parent),
                ..Context::NONE
            },
            sets: self.sets,
        }
    }
}

/// Returns the key of the innermost scope of the running task.
#[inline]
pub(super) fn key() -> Option<AffinityKey> {
    Context::read(|context| context.key.clone())
}

/// Returns the parent's key of the innermost scope of the running task.
#[inline]
pub(super) fn parent() -> Option<ParentKey> {
    Context::read(|context| context.parent.as_deref().cloned())
}

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.exchange();
    }
}
