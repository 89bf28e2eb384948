//! How a process of ours takes memory from the system.

/// Parts that the C library's heap is divided into: one for each of a few threads that run at the same time.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const ARENAS: libc::c_int = 2;

/// Makes the C library's allocator keep little of what is free. By itself it divides its heap into eight parts for each
/// processor, each of which keeps what its threads once needed, and keeps ever longer pieces. From now on pieces of
/// `mapped_bytes` and more are taken from the system one by one, for which each of their pages costs a fault, and given back as
/// soon as they are free. To be called once, before there are threads; where the C library is another one, nothing happens.
pub fn keep_little(mapped_bytes: u32) {
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let _ = mapped_bytes;
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        #![allow(unsafe_code)]
        // SAFETY: mallopt(3) takes two numbers by value and may be called at any time; an answer of 0 means that nothing was
        // changed, which is as good.
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, ARENAS);
            libc::mallopt(libc::M_MMAP_THRESHOLD, mapped_bytes.try_into().unwrap_or(libc::c_int::MAX));
        }
    }
}

/// Gives the pages of free pieces back to the system, which a burst of work leaves behind. Takes well under a millisecond for a
/// heap of some MiB.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        #![allow(unsafe_code)]
        // SAFETY: malloc_trim(3) takes a number by value and may be called at any time, by any thread.
        unsafe {
            libc::malloc_trim(0);
        }
    }
}
