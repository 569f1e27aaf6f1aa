# What BUILD files may call: a prelude of Pants, not a module.


def wheel(name, version, description, dependencies, entry_points={}):
    """The wheel of a package, with what is the same for all of ours."""
    python_distribution(
        name="dist",
        dependencies=[*dependencies, "//:license"],
        provides=python_artifact(
            name=name,
            version=version,
            description=description,
            python_requires=">=3.11",
            license="Apache-2.0",
            license_files=["LICENSE"],
            long_description_content_type="text/markdown",
            classifiers=[
                "Development Status :: 4 - Beta",
                "Intended Audience :: Financial and Insurance Industry",
                "Operating System :: POSIX :: Linux",
                "Programming Language :: Python :: 3 :: Only",
                "Programming Language :: Python :: 3.11",
                "Programming Language :: Python :: 3.12",
                "Programming Language :: Python :: 3.13",
                "Programming Language :: Python :: 3.14",
                "Topic :: Office/Business :: Financial :: Investment",
                "Typing :: Typed",
            ],
        ),
        long_description_path=f"{build_file_dir()}/README.md",
        entry_points=entry_points,
    )
