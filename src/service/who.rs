//! Who gives an order: the system user on the other side of the socket, as the kernel tells it.

/// The person that the history names: `mrossi (uid 1000)`, `root (uid 0, sudo da mrossi)`, `uid 1000`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who(String);

impl Who {
    /// The user with that uid. `sudo_user` is what the client says of itself: believed of root only, who could say anything.
    pub fn of(uid: u32, sudo_user: Option<&str>) -> Who {
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        Who::named(uid, name_in(&passwd, uid), sudo_user)
    }

    /// The user of this process.
    pub fn this_process(sudo_user: Option<&str>) -> Who {
        Who::of(rustix::process::getuid().as_raw(), sudo_user)
    }

    fn named(uid: u32, name: Option<&str>, sudo_user: Option<&str>) -> Who {
        let sudo = sudo_user.filter(|user| uid == 0 && is_user_name(user)).map(|user| format!(", sudo da {user}")).unwrap_or_default();
        Who(match name {
            Some(name) => format!("{name} (uid {uid}{sudo})"),
            None => format!("uid {uid}{sudo}"),
        })
    }

    /// As the history keeps it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Users of a directory service are not in the file: their number alone is kept.
fn name_in(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let found = fields.nth(1)?.parse::<u32>().ok()?;
        (found == uid && is_user_name(name)).then_some(name)
    })
}

fn is_user_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-@\\$".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_believed_and_sudo_only_of_root() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\nmrossi:x:1000:1000:Mario:/home/mrossi:/bin/sh\nb\u{1b}d:x:7:7::/:\n";
        let table = [
            (0, None, "root (uid 0)"),
            (0, Some("mrossi"), "root (uid 0, sudo da mrossi)"),
            (0, Some("x\ny"), "root (uid 0)"),
            (1000, Some("root"), "mrossi (uid 1000)"),
            (7, None, "uid 7"),
            (4242, None, "uid 4242"),
        ];
        for (uid, sudo, want) in table {
            assert_eq!(Who::named(uid, name_in(passwd, uid), sudo).as_str(), want, "uid {uid} sudo {sudo:?}");
        }
    }
}
