// SPDX-License-Identifier: MIT
// Clang's thread-safety analysis: the compiler checks that a guarded member is read only under its lock.
#pragma once

#define XYLEM_CAPABILITY(name) __attribute__((capability(name)))
#define XYLEM_SCOPED __attribute__((scoped_lockable))
#define XYLEM_GUARDED_BY(lock) __attribute__((guarded_by(lock)))
#define XYLEM_REQUIRES(...) __attribute__((requires_capability(__VA_ARGS__)))
#define XYLEM_EXCLUDES(...) __attribute__((locks_excluded(__VA_ARGS__)))
#define XYLEM_ACQUIRE(...) __attribute__((acquire_capability(__VA_ARGS__)))
#define XYLEM_RELEASE(...) __attribute__((release_capability(__VA_ARGS__)))
#define XYLEM_TRY_ACQUIRE(...) __attribute__((try_acquire_capability(__VA_ARGS__)))
#define XYLEM_NO_ANALYSIS __attribute__((no_thread_safety_analysis))
