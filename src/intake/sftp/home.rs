//! What an account sees: the only thing the SFTP engine knows of files. Calls block: they run on the session's worker.

use std::fmt;

/// Status codes of SFTP version 3 (draft-ietf-secsh-filexfer-02, section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    Ok = 0,
    Eof = 1,
    NoSuchFile = 2,
    PermissionDenied = 3,
    Failure = 4,
    BadMessage = 5,
    OpUnsupported = 8,
}

/// Why a request was refused. Its name is the stable code told to the client; the sentence beside it is `text`'s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refused {
    /// No such file or folder.
    NotFound,
    /// Outside the folders of the account, or a name that leads out of them.
    Outside,
    /// The folder can only be read.
    ReadOnly,
    /// The operation is not allowed there (deleting what was published, when the configuration says so).
    NotAllowed,
    /// A name that cannot be used: control characters, reserved, trailing dot or space, too long, not UTF-8.
    NameRefused,
    /// Differs only by case or by Unicode composition from a name that exists.
    NameCollides,
    AlreadyExists,
    NotAFolder,
    /// The folder into which something is put is not there.
    NoFolder,
    IsAFolder,
    FolderNotEmpty,
    /// Bytes that the account may keep.
    QuotaBytes,
    /// Files that the account may keep.
    QuotaFiles,
    /// An offset or a size past the largest file taken.
    TooLarge,
    /// The disk's reserve is reached: later it may work.
    DiskReserve,
    /// The disk is full.
    DiskFull,
    /// Closed with a hole, or sent as the rest of a file that is no more there: kept up to the hole, never taken.
    Incomplete,
    /// Another session is writing that file.
    Busy,
    /// Too many open files or folders in one session.
    TooManyHandles,
    /// A handle that is not open.
    BadHandle,
    /// A handle opened without the right asked for.
    WrongMode,
    /// The request makes no sense.
    BadMessage,
    /// Links, devices, unknown extensions.
    Unsupported,
    /// The account is expired or was removed while connected.
    AccountExpired,
    /// The server is stopping: resume later.
    Stopping,
    /// The disk answered with an error.
    Io,
}

impl Refused {
    /// The code that clients and operators see; it never changes once released.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NotFound => "SFTP_NON_TROVATO",
            Self::Outside => "SFTP_FUORI_CARTELLA",
            Self::ReadOnly => "SFTP_SOLA_LETTURA",
            Self::NotAllowed => "SFTP_NON_CONSENTITO",
            Self::NameRefused => "SFTP_NOME_NON_VALIDO",
            Self::NameCollides => "SFTP_NOME_SIMILE",
            Self::AlreadyExists => "SFTP_ESISTE_GIA",
            Self::NotAFolder => "SFTP_NON_CARTELLA",
            Self::NoFolder => "SFTP_CARTELLA_MANCANTE",
            Self::IsAFolder => "SFTP_CARTELLA",
            Self::FolderNotEmpty => "SFTP_CARTELLA_PIENA",
            Self::QuotaBytes => "SFTP_QUOTA_BYTE",
            Self::QuotaFiles => "SFTP_QUOTA_FILE",
            Self::TooLarge => "SFTP_TROPPO_GRANDE",
            Self::DiskReserve => "SFTP_RISERVA_DISCO",
            Self::DiskFull => "SFTP_DISCO_PIENO",
            Self::Incomplete => "SFTP_INCOMPLETO",
            Self::Busy => "SFTP_IN_USO",
            Self::TooManyHandles => "SFTP_TROPPI_APERTI",
            Self::BadHandle => "SFTP_HANDLE",
            Self::WrongMode => "SFTP_MODO",
            Self::BadMessage => "SFTP_RICHIESTA",
            Self::Unsupported => "SFTP_NON_PREVISTO",
            Self::AccountExpired => "SFTP_ACCOUNT",
            Self::Stopping => "SFTP_ARRESTO",
            Self::Io => "SFTP_DISCO",
        }
    }

    /// The status that tells it best in version 3.
    #[must_use]
    pub fn status(self) -> Status {
        match self {
            Self::NotFound | Self::NoFolder => Status::NoSuchFile,
            Self::Outside | Self::ReadOnly | Self::NotAllowed | Self::AccountExpired => Status::PermissionDenied,
            Self::Unsupported => Status::OpUnsupported,
            Self::BadMessage => Status::BadMessage,
            _ => Status::Failure,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl std::error::Error for Refused {}

/// What SFTP calls ATTRS. Absent = not told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    pub size: Option<u64>,
    /// User and group id.
    pub owner: Option<(u32, u32)>,
    /// POSIX mode with the type bits (`0o100000` file, `0o040000` folder).
    pub mode: Option<u32>,
    /// Access and modification time, seconds since 1970.
    pub times: Option<(u32, u32)>,
}

/// How a file is opened (SSH_FXF_ bits).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OpenFlags {
    pub read: bool,
    pub write: bool,
    /// Told by `reput` together with offsets: offsets are honoured, but for one of 0 once something is there, which is the end. A home
    /// need not heed it.
    pub append: bool,
    pub create: bool,
    pub truncate: bool,
    pub exclusive: bool,
}

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub attributes: Attributes,
}

/// How a handle ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The client sent CLOSE: whole when no byte range is missing.
    Closed,
    /// The connection died, the session was ended: partial, kept for resume, never taken.
    Dropped,
}

/// Free space, for `statvfs@openssh.com`, in bytes; already within the account's quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    pub total: u64,
    pub free: u64,
    pub files_total: u64,
    pub files_free: u64,
}

/// The files of one account, for one session. Paths are what the client sent, bytes of `/`-separated names, absolute or relative to
/// `/`; the home alone decides what they mean. Nothing here may be reached outside the account's folders, whatever the path.
pub trait Home: Send + Sync {
    /// Canonical absolute path as the client shall see it (`/in/lotto.zip`); the last part need not exist.
    ///
    /// # Errors
    /// [`Refused::NameRefused`] when it is no name at all.
    fn real_path(&self, path: &[u8]) -> Result<String, Refused>;
    /// Attributes of a file or folder; there are no links to follow.
    ///
    /// # Errors
    /// Any [`Refused`].
    fn stat(&self, path: &[u8]) -> Result<Attributes, Refused>;
    /// Times, modes and owners are accepted without harm; a size changes the file.
    ///
    /// # Errors
    /// Any [`Refused`].
    fn set_attributes(&self, path: &[u8], attributes: &Attributes) -> Result<(), Refused>;
    /// # Errors
    /// Any [`Refused`].
    fn open(&self, path: &[u8], flags: OpenFlags, attributes: &Attributes) -> Result<Box<dyn OpenFile>, Refused>;
    /// # Errors
    /// Any [`Refused`].
    fn list(&self, path: &[u8]) -> Result<Box<dyn Listing>, Refused>;
    /// # Errors
    /// Any [`Refused`].
    fn remove(&self, path: &[u8]) -> Result<(), Refused>;
    /// # Errors
    /// Any [`Refused`].
    fn make_folder(&self, path: &[u8]) -> Result<(), Refused>;
    /// # Errors
    /// Any [`Refused`].
    fn remove_folder(&self, path: &[u8]) -> Result<(), Refused>;
    /// `replace`: `posix-rename@openssh.com`, which overwrites; plain RENAME fails on a target that exists.
    ///
    /// # Errors
    /// Any [`Refused`].
    fn rename(&self, from: &[u8], to: &[u8], replace: bool) -> Result<(), Refused>;
    /// # Errors
    /// Any [`Refused`].
    fn space(&self, path: &[u8]) -> Result<Space, Refused>;
}

/// An open file. Dropping it without [`OpenFile::finish`] counts as [`Ending::Dropped`].
pub trait OpenFile: Send {
    /// Bytes read into `into` from `offset`; 0 at the end of the file.
    ///
    /// # Errors
    /// [`Refused::WrongMode`], [`Refused::Io`].
    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> Result<usize, Refused>;
    /// Writes pieces, each at its offset, in order, as few system calls as can be: pieces that touch go together.
    ///
    /// # Errors
    /// Per call: the first piece that failed and why; those before it are written.
    fn write_at(&mut self, pieces: &[(u64, &[u8])]) -> Result<(), (usize, Refused)>;
    /// # Errors
    /// Any [`Refused`].
    fn stat(&self) -> Result<Attributes, Refused>;
    /// # Errors
    /// Any [`Refused`].
    fn set_attributes(&mut self, attributes: &Attributes) -> Result<(), Refused>;
    /// `fsync@openssh.com`.
    ///
    /// # Errors
    /// [`Refused::Io`], [`Refused::DiskFull`].
    fn sync(&mut self) -> Result<(), Refused>;
    /// Its client has asked for nothing else at the moment: what CLOSE would wait for may be done now. Errors are CLOSE's to tell.
    fn rest(&mut self) {}
    /// After CLOSE returns `Ok` the bytes are durable and about to be taken. A file with a hole, or of which a WRITE was refused and not
    /// repeated, stays as a partial upload.
    ///
    /// # Errors
    /// [`Refused::Incomplete`], or what a WRITE was refused with, or what made the file not durable.
    fn finish(self: Box<Self>, ending: Ending) -> Result<(), Refused>;
}

/// A folder being listed, page by page: a folder of 100,000 names never lies in memory whole.
pub trait Listing: Send {
    /// Up to `most` entries; empty at the end.
    ///
    /// # Errors
    /// [`Refused::Io`].
    fn next(&mut self, most: usize) -> Result<Vec<Entry>, Refused>;
}
