//! Where in the patterns folder a request points, and never beyond it.

use std::path::{Component, Path, PathBuf};

use loom_patterns::FilesError;

/// The path below `folder` that `place` means: an absolute one, one below the folder, or one that begins with the folder's
/// own name. Neither `..` nor a link leads out.
pub(super) fn resolve(folder: Option<&Path>, place: &str) -> Result<PathBuf, FilesError> {
    let Some(root) = folder.and_then(|folder| std::path::absolute(folder).ok()) else {
        return Err(outside(folder, place));
    };
    let real_root = root.canonicalize().unwrap_or_else(|_| root.clone());
    let given = Path::new(place);
    let mut candidates = vec![root.join(given)];
    if !given.is_absolute() {
        candidates.extend(root.parent().map(|parent| parent.join(given)));
    }
    let inside = candidates.iter().filter_map(|path| {
        let path = without_dots(path)?;
        let below = path.strip_prefix(&root).or_else(|_| path.strip_prefix(&real_root)).ok()?;
        Some(if below.as_os_str().is_empty() { root.clone() } else { root.join(below) })
    });
    let inside: Vec<_> = inside.collect();
    if inside.is_empty() {
        return Err(outside(folder, place));
    }
    for path in inside {
        match path.canonicalize() {
            Ok(real) if real.starts_with(&real_root) => return Ok(path),
            Ok(_) => return Err(outside(folder, place)),
            Err(_) => {}
        }
    }
    Err(missing(folder, place))
}

/// `path` with `.` and `..` carried out on its text alone; `None` when it climbs above the root.
fn without_dots(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                if !clean.pop() {
                    return None;
                }
            }
            Component::Normal(_) | Component::RootDir | Component::Prefix(_) => clean.push(part),
        }
    }
    Some(clean)
}

pub(super) fn outside(folder: Option<&Path>, path: &str) -> FilesError {
    FilesError::Outside { path: path.to_owned(), folder: shown(folder) }
}

pub(super) fn missing(folder: Option<&Path>, path: &str) -> FilesError {
    FilesError::Missing { path: path.to_owned(), folder: shown(folder) }
}

fn shown(folder: Option<&Path>) -> String {
    folder.map_or_else(|| "(there is none)".to_owned(), |folder| folder.display().to_string())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use loom_base::ErrorCode;

    use super::*;

    #[test]
    fn a_place_is_found_below_the_folder_and_nowhere_else() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("patterns");
        fs::create_dir_all(folder.join("sql/deep")).unwrap();
        fs::create_dir_all(home.path().join("secret")).unwrap();
        fs::create_dir_all(home.path().join("patterns-too")).unwrap();
        let at = |place: &str| resolve(Some(&folder), place);
        let absolute = folder.join("sql").display().to_string();
        for same in ["sql", "./sql", "./patterns/sql", "patterns/sql/", "sql/deep/..", &absolute] {
            assert_eq!(at(same), Ok(folder.join("sql")), "{same}");
        }
        assert_eq!((at("."), at("patterns")), (Ok(folder.clone()), Ok(folder.clone())));
        let beside = home.path().join("patterns-too").display().to_string();
        for out in [
            "..",
            "../secret",
            "sql/../../secret",
            "/",
            "/etc",
            "secret/../..",
            &beside,
            "../../../../../../..",
        ] {
            assert_eq!(at(out).unwrap_err().code(), ErrorCode::PathRefused, "{out}");
        }
        for nothing in ["sq", "patterns/no", "sql\0", "sql\n"] {
            assert_eq!(at(nothing).unwrap_err().code(), ErrorCode::InvalidArgument, "{nothing:?}");
        }
        assert_eq!(resolve(None, "sql").unwrap_err().code(), ErrorCode::PathRefused);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_leads_out_is_not_followed_and_the_folder_may_be_one() {
        let home = tempfile::tempdir().unwrap();
        let (folder, linked) = (home.path().join("patterns"), home.path().join("linked"));
        fs::create_dir_all(folder.join("sql")).unwrap();
        fs::create_dir_all(home.path().join("secret/sql")).unwrap();
        std::os::unix::fs::symlink(home.path().join("secret"), folder.join("out")).unwrap();
        std::os::unix::fs::symlink(&folder, &linked).unwrap();
        for out in ["out", "out/sql", "patterns/out"] {
            assert_eq!(resolve(Some(&folder), out).unwrap_err().code(), ErrorCode::PathRefused, "{out}");
        }
        let real = folder.join("sql").display().to_string();
        for same in ["sql", "linked/sql", &real] {
            assert_eq!(resolve(Some(&linked), same), Ok(linked.join("sql")), "{same}");
        }
    }
}
